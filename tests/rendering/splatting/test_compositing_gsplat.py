"""What gsplat is handed, by a stand-in of its signature: neither it nor a GPU is needed."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import Tensor

from helpers.splatting_scenes import cloud, crooked_camera
from latentfields.errors import InputError
from latentfields.rendering.splatting.compositing import composite_reference
from latentfields.rendering.splatting.compositing_gsplat import composite_gsplat, gsplat_wanted
from latentfields.rendering.splatting.projection import ProjectedGaussians, project_reference

WIDTH, HEIGHT = 37, 21


def scene() -> tuple[ProjectedGaussians, Tensor]:
    camera = crooked_camera(WIDTH, HEIGHT)
    projected = project_reference(cloud(100), camera, near=0.2, blur=0.3, antialiased=False)
    return projected, torch.randn(100, 3, generator=torch.Generator().manual_seed(0))


def rasterize_to_pixels(
    means2d: Tensor,
    conics: Tensor,
    colors: Tensor,
    opacities: Tensor,
    image_width: int,
    image_height: int,
    tile_size: int,
    isect_offsets: Tensor,
    flatten_ids: Tensor,
) -> tuple[Tensor, Tensor]:
    """Every pixel through the list of its tile: (1, H, W, C) and (1, H, W, 1)."""
    assert means2d.shape == (1, 100, 2)
    assert conics.shape == colors.shape == (1, 100, 3)
    assert opacities.shape == (1, 100)
    assert isect_offsets.shape == (1, -(-image_height // tile_size), -(-image_width // tile_size))
    assert isect_offsets.dtype == flatten_ids.dtype == torch.int32
    ends = [*isect_offsets.flatten().tolist(), len(flatten_ids)]
    summed, opacity = (
        torch.zeros(1, image_height, image_width, 3),
        torch.zeros(1, image_height, image_width, 1),
    )
    for row in range(image_height):
        for column in range(image_width):
            tile = row // tile_size * isect_offsets.shape[2] + column // tile_size
            members = flatten_ids[ends[tile] : ends[tile + 1]]
            dx, dy = (torch.tensor([column + 0.5, row + 0.5]) - means2d[0, members]).unbind(-1)
            xx, xy, yy = conics[0, members].unbind(-1)
            exponent = 0.5 * (xx * dx**2 + yy * dy**2) + xy * dx * dy
            alpha = (opacities[0, members] * torch.exp(-exponent)).clamp(max=0.99)
            alpha = torch.where(alpha < 1 / 255, 0.0, alpha)
            passing = torch.cat([torch.ones(1), (1 - alpha).cumprod(0)])
            weights = passing[:-1] * alpha * (passing[1:] > 1e-4)
            summed[0, row, column] = weights @ colors[0, members]
            opacity[0, row, column] = weights.sum()
    return summed, opacity


def test_gsplat_gets_what_it_needs_to_composite_as_the_twin_does(monkeypatch: pytest.MonkeyPatch) -> None:
    library = types.ModuleType("gsplat")
    monkeypatch.setattr(library, "rasterize_to_pixels", rasterize_to_pixels, raising=False)
    monkeypatch.setitem(sys.modules, "gsplat", library)
    result = composite_gsplat(*scene(), width=WIDTH, height=HEIGHT)
    expected = composite_reference(*scene(), width=WIDTH, height=HEIGHT)
    for value, twin in zip(result, expected, strict=True):
        torch.testing.assert_close(value, twin, rtol=1e-4, atol=1e-5)


def test_without_gsplat_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gsplat", None)
    with pytest.raises(InputError, match=r"LATENTFIELDS_KERNELS: .*pip install 'latentfields\[gsplat\]'"):
        composite_gsplat(*scene(), width=WIDTH, height=HEIGHT)


def test_gsplat_is_taken_on_cuda_only_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LATENTFIELDS_KERNELS", raising=False)
    assert not gsplat_wanted(torch.device("cuda"))
    monkeypatch.setenv("LATENTFIELDS_KERNELS", "gsplat")
    assert gsplat_wanted(torch.device("cuda"))
    assert not gsplat_wanted(torch.device("cpu"))
