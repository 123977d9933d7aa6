"""Bilinear interpolation in the three axis planes xy, xz, yz, summed: the Tri-Plane's feature.

`plane_lookup` is a `gather_rows`, fast also without warp; `plane_lookup_reference` is the same function by
`grid_sample`, for tests and comparison. Gradients reach the planes and the points.

Shape suffixes: P points, K resolution, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentfields.rendering.kernels.backend import launch, points_per_thread, runs_on_warp
from latentfields.rendering.kernels.row_gather import gather_rows

PLANE_AXES = ((0, 1), (0, 2), (1, 2))
"""Coordinates (column, row) of the planes, in order: xy, xz, yz."""


def plane_lookup_reference(planes: Tensor, points: Tensor) -> Tensor:
    """Sum over planes (3, K, K, C), stored row, column, of features at points (P, 3) in [-1, 1]^3: (P, C).

    Cell centres are half a cell inside the border; beyond the outermost centres the border value holds.
    """
    positions = torch.stack([points[:, list(axes)] for axes in PLANE_AXES])[:, None]
    values = torch.nn.functional.grid_sample(
        planes.permute(0, 3, 1, 2), positions, mode="bilinear", padding_mode="border", align_corners=False
    )
    return values.sum(dim=0)[:, 0].T


def plane_lookup(planes: Tensor, points: Tensor) -> Tensor:
    """`plane_lookup_reference`, several times faster on a CPU."""
    index, weight = _corners(points, planes.shape[1])
    return gather_rows(planes.reshape(-1, planes.shape[-1]), index, weight)


def plane_features(planes: Tensor, points: Tensor) -> Tensor:
    """The features of the three planes that `plane_lookup` sums, each for itself: (P, 3, C)."""
    fitted = torch.is_grad_enabled() and planes.requires_grad
    if not fitted and _runs_on_warp(planes, points):
        from latentfields.rendering.kernels.plane_lookup_warp import features_kernel

        out = points.new_empty(len(points), 3, planes.shape[-1])
        kernel = features_kernel(planes.shape[-1])
        _launch(kernel, points, planes.contiguous(), out, resolution=planes.shape[1])
        return out
    index, weight = _corners(points, planes.shape[1])
    table = planes.reshape(-1, planes.shape[-1])
    return gather_rows(table, index.view(-1, 4), weight.view(-1, 4)).view(-1, 3, planes.shape[-1])


def _runs_on_warp(*tensors: Tensor) -> bool:
    """Whether the kernels can work on these tensors, the last of which are points."""
    points = tensors[-1]
    moved = torch.is_grad_enabled() and points.requires_grad
    return points.device.type == "cpu" and len(points) > 0 and not moved and runs_on_warp(*tensors)


def _launch(kernel: Any, points: Tensor, *others: Tensor, resolution: int) -> None:
    block = points_per_thread(points)
    tensors = (points.contiguous(), *others)
    launch(kernel, -(-len(points) // block), *tensors, resolution, len(points), block)


def _corners(points: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """`_corners_reference`, three times as fast on a CPU with warp, to the same bits."""
    if not _runs_on_warp(points):
        return _corners_reference(points, resolution)
    from latentfields.rendering.kernels.plane_lookup_warp import corners_kernel

    index = points.new_empty(len(points), 12, dtype=torch.int64)
    weight = points.new_empty(len(points), 12)
    _launch(corners_kernel(), points, index, weight, resolution=resolution)
    return index, weight


def _corners_reference(points: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Rows of the flattened planes, and bilinear weights, (P, 12) each, around points (P, 3)."""
    position = ((points + 1.0) * (resolution / 2) - 0.5).clamp(0, resolution - 1)
    low = position.floor().clamp(max=resolution - 2)
    fraction = position - low
    low = low.long()
    index, weight = [], []
    for plane, (column, row) in enumerate(PLANE_AXES):
        corner = (plane * resolution + low[:, row]) * resolution + low[:, column]
        fx, fy = fraction[:, column], fraction[:, row]
        index += [corner, corner + 1, corner + resolution, corner + resolution + 1]
        weight += [(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy]
    return torch.stack(index, dim=1), torch.stack(weight, dim=1)
