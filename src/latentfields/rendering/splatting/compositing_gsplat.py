"""Compositing by the gsplat library (Ye et al. 2024) on CUDA, in place of the kernels here.

Taken when the environment variable LATENTFIELDS_KERNELS is `gsplat`. It compiles its kernels with nvcc when it is first
used. Version 1.5 caps alpha at 0.999 instead of 0.99; its other rules are the same.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor

from latentfields.errors import InputError
from latentfields.rendering.splatting.projection import ProjectedGaussians
from latentfields.rendering.splatting.tiles import tile_lists

TILE = 16
"""Pixels per side of a tile: gsplat's threads per block are its square."""


def gsplat_wanted(device: torch.device) -> bool:
    """True when gsplat is to composite on this device."""
    return device.type == "cuda" and os.environ.get("LATENTFIELDS_KERNELS") == "gsplat"


def composite_gsplat(
    projected: ProjectedGaussians, values: Tensor, *, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """As `composite_reference`, for float32 on CUDA. Raises `InputError` when gsplat is not installed."""
    try:
        from gsplat import rasterize_to_pixels
    except ImportError:
        problem = "gsplat is not installed; install it with: pip install 'latentfields[gsplat]'"
        raise InputError("LATENTFIELDS_KERNELS", problem) from None
    starts, members = tile_lists(projected, tile=TILE, width=width, height=height)
    # One image; gsplat has no end of the last tile's list, which is that of all lists.
    offsets = starts[:-1].view(1, -(-height // TILE), -(-width // TILE))
    batch = (projected.means_2d, projected.conics, values, projected.opacities)
    summed, opacity = rasterize_to_pixels(
        *(tensor[None] for tensor in batch), width, height, TILE, offsets, members
    )
    return summed[0].permute(2, 0, 1), 1 - opacity[0, ..., 0]
