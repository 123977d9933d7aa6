"""The projection of finer renders: its start, and its borders."""

from __future__ import annotations

import pytest
import torch

from latentfields.latent_nerf.subpixel import SubpixelProjection


def projection(subpixels: int) -> SubpixelProjection:
    """One that was trained: the last layer starts at zero, which would hide the others."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = SubpixelProjection(3, subpixels=subpixels, width=8)
        torch.nn.init.normal_(made.mix.weight)
    return made


@pytest.mark.parametrize("subpixels", [2, 4])
def test_it_starts_as_the_mean_over_each_latent_s_area(subpixels: int) -> None:
    features = torch.randn(2, 3, 6 * subpixels, 5 * subpixels, generator=torch.Generator().manual_seed(0))
    expected = features.unflatten(3, (5, subpixels)).unflatten(2, (6, subpixels)).mean(dim=(3, 5))
    torch.testing.assert_close(SubpixelProjection(3, subpixels=subpixels, width=8)(features), expected)


@pytest.mark.parametrize("subpixels", [2, 4])
@torch.no_grad()
def test_constant_features_stay_constant_up_to_the_border(subpixels: int) -> None:
    values = torch.tensor([1.0, -2.0, 3.0]).view(1, 3, 1, 1)
    seen = projection(subpixels)(values.expand(1, 3, 6 * subpixels, 5 * subpixels))
    assert seen.shape == (1, 3, 6, 5)
    torch.testing.assert_close(seen, seen[:, :, 2:3, 2:3].expand_as(seen))
    assert not torch.allclose(seen[:, :, :1, :1], values)
