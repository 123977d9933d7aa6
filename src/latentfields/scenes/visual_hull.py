"""The box of an object, carved from the alpha channels of the views that show it.

A voxel goes when views that see it whole see only background there. Voxels are tested with their whole
footprint, so thin parts survive coarse grids and the box errs by at most about one voxel outwards; the grid
is then laid again over the smaller box until it stops shrinking.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.cameras import Cameras

_COARSE, _FINE = 32, 48
"""Voxels along each side while the box shrinks, and for the last pass."""
_MASK_SIZE = 256
"""Masks are pooled to at most about this many cells a side."""
_MAX_PASSES = 6
_OPAQUE = 0.1 * 255
"""Alpha above this is object."""
_TOLERATED_MISSES = 0.03
"""Share of the views that may be wrong about a voxel."""
_MIN_SEEN = 0.5
"""Share of the views that must have a voxel in their picture: space that no view tests is not object."""
_LOOKS_AT_ONCE = 1 << 16
"""Voxels times views that are looked at in one go."""
_WORTH_DROPPING = 0.9
"""Voxels that are out are dropped once fewer than this share of them are left."""


@dataclass(frozen=True)
class _Masks:
    """Masks pooled to cells, as summed-area tables: any rectangle is counted with four look-ups."""

    tables: Tensor
    """(N, h + 1, w + 1) int32."""
    cameras: Cameras
    """The views on the grid of cells."""
    projections: Tensor
    """(N, 3, 3): times a point, plus `offsets`, column and row, both times the depth, and the depth."""
    offsets: Tensor
    """(N, 3)."""
    limit: tuple[float, float]
    """Width and height of the picture in cells; the last cells may reach past it."""


def visual_hull_box(
    cameras: Cameras, alpha: Tensor, *, views: Tensor, radius: float
) -> tuple[Tensor, Tensor] | None:
    """Lower and upper corner (3,) of the visual hull inside [-radius, radius]^3, or None without one.

    `alpha` (N, 1, H, W) is uint8 coverage, `views` the indices of the views to carve with. Corners are in
    the frame of the cameras, float32.
    """
    masks = _pooled(cameras.to(torch.float32), alpha, views)
    upper = torch.full((3,), radius)
    lower = -upper
    for _ in range(_MAX_PASSES):
        box = _carve(masks, lower, upper, resolution=_COARSE)
        if box is None:
            return None
        shrunk = (box[1] - box[0]).max() / (upper - lower).max()
        lower, upper = box
        if shrunk > 0.9:
            break
    return _carve(masks, lower, upper, resolution=_FINE)


def visual_hull_cells(cameras: Cameras, alpha: Tensor, *, views: Tensor, resolution: int) -> Tensor:
    """Mask (resolution^3,), x slowest, of the cells of a lattice over [-1, 1]^3 that may hold the object.

    Arguments as for `visual_hull_box`. A cell is kept when its circumscribed sphere may touch the hull.
    """
    masks = _pooled(cameras.to(torch.float32), alpha, views)
    # Coarse to fine: most of space is gone before the fine cells are looked at.
    coarse = resolution // 4 if resolution % 4 == 0 else resolution
    cells = torch.cartesian_prod(*(torch.arange(coarse),) * 3)
    size = coarse
    while True:
        step = 2.0 / size
        centers = (cells + 0.5) * step - 1.0
        cells = cells[_survivors(masks, centers, radius=0.5 * step * 3**0.5)]
        if size == resolution:
            break
        children = torch.cartesian_prod(*(torch.arange(2),) * 3)
        cells = (2 * cells[:, None] + children).reshape(-1, 3)
        size *= 2
    kept = torch.zeros((resolution,) * 3, dtype=torch.bool)
    kept[cells[:, 0], cells[:, 1], cells[:, 2]] = True
    return kept.flatten()


def _pooled(cameras: Cameras, alpha: Tensor, views: Tensor) -> _Masks:
    cell = -(-max(alpha.shape[-2:]) // _MASK_SIZE)
    tables = []
    for chunk in torch.split(views, 8):
        mask = torch.nn.functional.max_pool2d((alpha[chunk] > _OPAQUE).float(), cell, ceil_mode=True)
        tables.append(torch.nn.functional.pad(mask[:, 0].cumsum(1).cumsum(2), (1, 0, 1, 0)).int())
    table = torch.cat(tables)
    height, width = table.shape[1] - 1, table.shape[2] - 1
    whole_cells = cameras[views].cropped(left=0, top=0, width=width * cell, height=height * cell)
    on_cells = whole_cells.resized(width=width, height=height)
    intrinsics = torch.zeros(len(views), 3, 3)
    # Cameras look along -z, rows go down.
    intrinsics[:, 0, 0], intrinsics[:, 1, 1] = on_cells.focal[:, 0], -on_cells.focal[:, 1]
    intrinsics[:, 0, 2], intrinsics[:, 1, 2] = -on_cells.principal[:, 0], -on_cells.principal[:, 1]
    intrinsics[:, 2, 2] = -1
    projections = intrinsics @ on_cells.camera_to_world[:, :3, :3].mT
    return _Masks(
        tables=table,
        cameras=on_cells,
        projections=projections,
        offsets=-(projections @ on_cells.centers[..., None])[..., 0],
        limit=(cameras.width / cell, cameras.height / cell),
    )


def _carve(masks: _Masks, lower: Tensor, upper: Tensor, *, resolution: int) -> tuple[Tensor, Tensor] | None:
    """The box of the voxels between two corners that survive, or None."""
    step = (upper - lower) / resolution
    index = torch.arange(resolution) + 0.5
    grid = torch.cartesian_prod(*(lower[axis] + step[axis] * index for axis in range(3)))
    centers = grid[_survivors(masks, grid, radius=0.5 * float(step.norm()))]
    if len(centers) == 0:
        return None
    return centers.amin(0) - 0.5 * step, centers.amax(0) + 0.5 * step


def _survivors(masks: _Masks, grid: Tensor, *, radius: float) -> Tensor:
    """Indices of the voxels with centres (K, 3) that no more views than tolerated see as background."""
    count = len(masks.cameras)
    most = _TOLERATED_MISSES * count
    alive, centers = torch.arange(len(grid)), grid.T.contiguous()
    seen = missed = torch.zeros(len(grid), dtype=torch.int32)
    view = 0
    while view < count and len(alive):
        # One view while there are many voxels, several once few are left.
        several = slice(view, min(count, view + max(1, _LOOKS_AT_ONCE // len(alive))))
        found, empty = _look(masks, several, centers, radius)
        seen, missed = seen + found, missed + empty
        kept = (missed <= most).nonzero()[:, 0]
        if len(kept) < _WORTH_DROPPING * len(alive) or several.stop == count:
            alive, centers, seen, missed = (
                values.index_select(-1, kept) for values in (alive, centers, seen, missed)
            )
        view = several.stop
    return alive[seen >= max(1.0, _MIN_SEEN * count)]


def _look(masks: _Masks, views: slice, centers: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """Two counts (K,) of views: those that have a sphere whole in their picture or see the object in its footprint; and
    those that see only background there. Centres are (3, K)."""
    tables, focal = masks.tables[views], masks.cameras.focal[views]
    matrices, offsets = masks.projections[views], masks.offsets[views]
    # One product and one axis after the other: small matrices and reductions over a dimension of two are slow.
    across, down, depth = (
        torch.addmm(offsets.view(-1, 1), matrices.reshape(-1, 3), centers).view(len(tables), 3, -1).unbind(1)
    )
    in_front = depth > radius
    # What is not in front has some position that is a number.
    depth = depth.clamp_(min=radius + 1e-6)
    extent = focal[:, :1] * radius / (depth - radius)
    whole = in_front
    corners: list[list[Tensor]] = []
    for axis, cells in ((across, masks.cameras.width), (down, masks.cameras.height)):
        middle = axis / depth
        low, high = middle - extent, middle + extent
        whole = whole & (low >= 0) & (high <= masks.limit[len(corners)])
        corners.append([edge.clamp_(0, cells).int() for edge in (low.floor_(), high.ceil_())])
    (left, right), (top, bottom) = corners
    rows, columns = tables.shape[1:]
    first = torch.arange(len(tables), dtype=torch.int32)[:, None] * (rows * columns)
    upper, lower = first + top * columns, first + bottom * columns
    flat = tables.flatten()

    def up_to(row: Tensor, column: Tensor) -> Tensor:
        return flat.index_select(0, (row + column).flatten())

    inside = up_to(lower, right) - up_to(upper, right) - up_to(lower, left) + up_to(upper, left)
    found = in_front & (inside.view_as(top) > 0)
    empty = whole & ~found
    return (found | empty).sum(0, dtype=torch.int32), empty.sum(0, dtype=torch.int32)
