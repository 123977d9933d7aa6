"""Which sparse points are seen by which cameras, judged by the points themselves.

Shape suffixes: N cameras, P points, S sightings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.cameras import Cameras

CELLS = 24
"""Cells along the longer side of a picture in which the nearest point hides those behind it."""
HIDDEN = 1.15
"""A point is hidden where it is farther away than the nearest one around by this factor."""


@dataclass(frozen=True)
class Sightings:
    """Points in pictures."""

    views: Tensor
    """(S,) int64 indices of cameras."""
    positions: Tensor
    """(S, 2) column and row in pixels."""
    distances: Tensor
    """(S,) from the camera's centre to the point, in units of the cameras' frame."""


def sightings(cameras: Cameras, points: Tensor, *, near: float) -> Sightings:
    """The points (P, 3) that cameras see: in the picture, farther than `near`, and not behind other points."""
    found = []
    limit = points.new_tensor([cameras.width, cameras.height])
    cell = float(limit.max()) / CELLS
    across, down = -(-cameras.width // cell), -(-cameras.height // cell)
    for view in range(len(cameras)):
        positions, depth = (result[0] for result in cameras[view : view + 1].project(points))
        distance = (points - cameras.centers[view]).norm(dim=-1)
        inside = (depth > 0) & (distance > near) & ((positions >= 0) & (positions < limit)).all(-1)
        index = inside.nonzero()[:, 0]
        column, row = (positions[index] / cell).long().unbind(-1)
        nearest = points.new_full((int(down), int(across)), torch.inf)
        flat = row * int(across) + column
        nearest.view(-1).scatter_reduce_(0, flat, distance[index], "amin")
        # Of the cells around as well: points are sparse.
        around = -torch.nn.functional.max_pool2d(-nearest[None, None], 3, stride=1, padding=1)[0, 0]
        index = index[distance[index] <= HIDDEN * around.view(-1)[flat]]
        found.append((torch.full_like(index, view), positions[index], distance[index]))
    views, positions, distances = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Sightings(views, positions, distances)
