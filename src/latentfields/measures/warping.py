"""Warping between views by known depth: the place of a surface seen in one view in another.

Shape suffixes: N views, C channels, H, W image size, h = H / f, w = W / f coarser cells, P points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.cameras import Cameras

DEPTH_TOLERANCE = 0.02
"""Relative difference of depths up to which a point counts as the one that is seen."""


@dataclass(frozen=True)
class Correspondence:
    """Cells of a target view whose surface point is also seen in a source view."""

    target: int
    """Index of the view that the cells are in."""
    source: int
    """Index of the view that the points are looked up in."""
    cells: Tensor
    """(P, 2) int64 row and column of the target's cells."""
    positions: Tensor
    """(P, 2) the same points as (column, row) in the source, in cells; centres at +0.5."""


def covered_cells(depth: Tensor, *, factor: int) -> Tensor:
    """Mask (N, h, w) of the cells whose every pixel sees the surface, from z-depths (N, 1, H, W), inf elsewhere."""
    pooled = torch.nn.functional.max_pool2d(depth, factor)
    return pooled[:, 0].isfinite()


def correspondences(
    cameras: Cameras, depth: Tensor, covered: Tensor, *, target: int, source: int, factor: int
) -> Correspondence:
    """Points at covered cell centres of the view `target` that the view `source` sees too.

    `depth` (N, 1, H, W) belongs to the N `cameras`, `covered` (N, h, w) comes from `covered_cells`. A point is seen
    when it projects between covered cells and the source's depth there agrees with its own.
    """
    cells = covered[target].nonzero()
    centres = (cells.flip(1) + 0.5) * factor
    distance = _sampled(depth[target], centres)[:, 0]
    points = _unprojected(cameras[target : target + 1], centres, distance)
    projected, z = cameras[source : source + 1].project(points)
    pixels, z = projected[0], z[0]
    positions = pixels / factor
    height, width = covered.shape[1:]
    inside = ((positions >= 0.5) & (positions <= positions.new_tensor([width, height]) - 0.5)).all(dim=1)
    inside &= z > 0
    cells, positions, pixels, z = cells[inside], positions[inside], pixels[inside], z[inside]
    between = _sampled(covered[source][None].float(), positions)[:, 0] > 1 - 1e-4
    seen = _sampled(depth[source], pixels)[:, 0]
    visible = between & ((seen - z).abs() <= DEPTH_TOLERANCE * z)
    return Correspondence(target, source, cells[visible], positions[visible])


def values_at_target(maps: Tensor, found: Correspondence) -> Tensor:
    """Values (P, C) of the target's map, of maps (N, C, h, w), at the cells of a correspondence."""
    return maps[found.target][:, found.cells[:, 0], found.cells[:, 1]].T


def values_from_source(maps: Tensor, found: Correspondence) -> Tensor:
    """Bilinear values (P, C) of the source's map, of maps (N, C, h, w), where the target's cells lie in it."""
    return _sampled(maps[found.source], found.positions)


def neighbouring_views(cameras: Cameras, *, largest_angle: float) -> list[tuple[int, int]]:
    """Ordered pairs of different views whose directions differ by at most `largest_angle` degrees."""
    cosine = cameras.forward @ cameras.forward.T
    near = cosine >= math.cos(math.radians(largest_angle)) - 1e-6
    near.fill_diagonal_(False)
    return [(int(target), int(source)) for target, source in near.nonzero()]


def _sampled(maps: Tensor, positions: Tensor) -> Tensor:
    """Bilinear values (P, C) of maps (C, H, W) at (column, row) positions (P, 2), centres at +0.5.

    A value next to an infinite one is infinite or NaN, also where its weight is zero.
    """
    size = positions.new_tensor([maps.shape[2], maps.shape[1]])
    normalised = (positions / size * 2 - 1)[None, None]
    values = torch.nn.functional.grid_sample(
        maps[None], normalised, mode="bilinear", padding_mode="border", align_corners=False
    )
    return values[0, :, 0].T


def _unprojected(camera: Cameras, pixels: Tensor, depth: Tensor) -> Tensor:
    """World points (P, 3) at z-depths (P,) behind pixel positions (P, 2) of one camera."""
    rays = camera.rays_at(pixels[None])
    along = depth / (rays.directions[0] @ camera.forward[0])
    return rays.origins[0] + rays.directions[0] * along[:, None]
