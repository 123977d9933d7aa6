"""Lists of the Gaussians that reach each tile of the image, front to back.

Shape suffixes: N Gaussians, V visible ones, K pairs of a tile and a Gaussian.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from latentfields.devices import like
from latentfields.rendering.kernels.backend import launch, runs_on_warp
from latentfields.rendering.splatting.projection import ProjectedGaussians


@torch.no_grad()
def _front_to_back_on_device(projected: ProjectedGaussians) -> Tensor:
    """Indices (N,), int32: those of `front_to_back`, then all others, whose number the host need not wait for."""
    depths = torch.where(projected.radii > 0, projected.depths, torch.inf)
    return torch.sort(depths, stable=True).indices.int()


@torch.no_grad()
def front_to_back(projected: ProjectedGaussians) -> Tensor:
    """Indices (V,), int32, of the visible Gaussians by depth; of equal depths, the lower index is first."""
    visible = projected.radii.nonzero()[:, 0].int()
    depths = projected.depths[visible]
    if depths.dtype != torch.float32:
        return visible[torch.sort(depths, stable=True).indices]
    # Positive floats are ordered like their bits; with the place in the low bits, numpy's fastest sort is stable.
    keys = depths.numpy().view(np.uint32).astype(np.uint64) << np.uint64(32)
    keys |= np.arange(len(keys), dtype=np.uint64)
    keys.sort()
    return visible[torch.from_numpy(keys.astype(np.uint32).view(np.int32))]


def tile_lists_reference(
    projected: ProjectedGaussians, *, tile: int, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """The start of the list of every tile of `tile` x `tile` pixels, and the lists, one after the other.

    Starts (tiles + 1,), tiles row by row; indices (K,) of Gaussians, front to back within a tile; both int32.
    """
    columns, rows = -(-width // tile), -(-height // tile)
    on_cpu = projected.radii.device.type == "cpu"
    order = front_to_back(projected) if on_cpu else _front_to_back_on_device(projected)
    left, right, top, bottom = _tile_bounds(projected, tile=tile, columns=columns, rows=rows)[order].unbind(
        -1
    )
    across = right - left
    count = across * (bottom - top) * (projected.radii[order] > 0)
    which = torch.repeat_interleave(count)
    within = torch.arange(len(which), device=which.device) - (count.cumsum(0) - count)[which]
    tiles = (top[which] + within // across[which]) * columns + left[which] + within % across[which]
    tiles, sorting = torch.sort(tiles, stable=True)
    starts = torch.searchsorted(tiles, torch.arange(columns * rows + 1, device=tiles.device), out_int32=True)
    return starts, order[which[sorting]]


@torch.no_grad()
def _tile_bounds(projected: ProjectedGaussians, *, tile: int, columns: int, rows: int) -> Tensor:
    """First column and past the last one, first row and past the last one (N, 4) that a Gaussian's box touches."""
    low = ((projected.means_2d - projected.extents) / tile).floor()
    high = ((projected.means_2d + projected.extents) / tile).floor() + 1
    bounds = torch.stack([low, high], dim=-1).clamp(min=0)
    return bounds.minimum(like([columns, rows], bounds)[:, None]).view(-1, 4).long()


def tile_lists(projected: ProjectedGaussians, *, tile: int, width: int, height: int) -> tuple[Tensor, Tensor]:
    """`tile_lists_reference`, some ten times faster on a CPU with warp."""
    means, extents = projected.means_2d.detach(), projected.extents
    if means.device.type != "cpu" or not runs_on_warp(means, extents):
        return tile_lists_reference(projected, tile=tile, width=width, height=height)
    from latentfields.rendering.splatting.tiles_warp import count_kernel, fill_kernel

    columns, rows = -(-width // tile), -(-height // tile)
    order = front_to_back(projected)
    boxes = (means.contiguous(), extents.contiguous(), order)
    size = (len(order), tile, columns, rows)
    starts = torch.zeros(columns * rows + 1, dtype=torch.int32)
    launch(count_kernel(), 1, *boxes, starts[1:], order, *size)
    starts = starts.cumsum(0, dtype=torch.int32)
    members = torch.empty(int(starts[-1]), dtype=torch.int32)
    launch(fill_kernel(), 1, *boxes, starts[:-1].clone(), members, *size)
    return starts, members
