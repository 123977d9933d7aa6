from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from latentfields.measures.spectrum import detail_ratio, spread_ratio


def wave(cycles: float, *, side: int = 16, vertical: bool = False) -> Tensor:
    """(1, 1, side, side): a cosine of so many cycles per cell."""
    ramp = torch.cos(2 * math.pi * cycles * torch.arange(side))
    maps = ramp[:, None].expand(side, side) if vertical else ramp[None].expand(side, side)
    return maps[None, None]


@pytest.mark.parametrize("vertical", [False, True])
def test_only_waves_finer_than_half_nyquist_are_detail(vertical: bool) -> None:
    """A quarter of a cycle per cell, the bound, is not; nor is the mean."""
    coarse, fine = wave(0.25, vertical=vertical), wave(0.3125, vertical=vertical)
    both = 3 + 2 * coarse + fine
    assert float(detail_ratio(both, fine)) == pytest.approx(1, rel=1e-4)
    assert float(detail_ratio(2 * coarse + 0.5 * fine, both)) == pytest.approx(0.5, rel=1e-4)
    assert float(detail_ratio(5 * coarse, both)) < 1e-3


def test_spread_is_that_of_cells_whatever_the_mean() -> None:
    maps = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(spread_ratio(0.5 * maps + 7, maps), torch.full((2,), 0.5))
    channels = torch.cat([wave(0.125), 3 * wave(0.125)], dim=1)
    expected = math.sqrt((1 + 9) / 2) / 1
    assert float(spread_ratio(channels, wave(0.125).expand(1, 2, -1, -1))) == pytest.approx(
        expected, rel=1e-4
    )


def test_blur_loses_both_and_noise_adds_detail() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(4, 4, 32, 32, generator=generator)
    blurred = torch.nn.functional.avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)
    assert (detail_ratio(blurred, maps) < spread_ratio(blurred, maps)).all()
    assert (spread_ratio(blurred, maps) < 0.5).all()
    noisy = maps + 0.5 * torch.randn(maps.shape, generator=generator)
    torch.testing.assert_close(
        detail_ratio(noisy, maps), torch.full((4,), math.sqrt(1.25)), atol=0.03, rtol=0
    )


def test_constant_maps_kept_all_that_they_had() -> None:
    flat = torch.full((1, 2, 8, 8), 3.0)
    assert float(spread_ratio(flat, flat)) == 1
    assert float(detail_ratio(flat, flat)) == 1
