"""The warp kernels behind `tile_lists` on the CPU. Imports warp: only for use where it is installed.

The pairs are put in place in one pass over the Gaussians front to back, by one logical thread: a counting sort.
"""

from __future__ import annotations

import functools
from typing import Any

import warp as wp

BOXES = """
    for (int k = 0; k < visible; ++k) {{
        const int g = order[k];
        const float x = means[2 * g], y = means[2 * g + 1], half_x = extents[2 * g], half_y = extents[2 * g + 1];
        const float size = tile;
        const float left = floorf((x - half_x) / size), right = floorf((x + half_x) / size);
        const float top = floorf((y - half_y) / size), bottom = floorf((y + half_y) / size);
        const int first_column = left > 0 ? (int)left : 0, first_row = top > 0 ? (int)top : 0;
        const int last_column = right < columns - 1 ? (int)right : columns - 1;
        const int last_row = bottom < rows - 1 ? (int)bottom : rows - 1;
        for (int row = first_row; row <= last_row; ++row)
            for (int column = first_column; column <= last_column; ++column) {tile}
    }}
"""
"""The tiles that the box of every Gaussian touches, as `tile_bounds` has them."""

COUNT = "++ends[row * columns + column];"
FILL = "members[ends[row * columns + column]++] = g;"


@functools.cache
def count_kernel() -> Any:
    """Counts the members of every tile."""
    return _kernel(COUNT)


@functools.cache
def fill_kernel() -> Any:
    """Writes the members of every tile, and moves the tile's place to write on."""
    return _kernel(FILL)


def _kernel(snippet: str) -> Any:
    """A kernel over all Gaussians, in one logical thread."""

    @wp.func_native(BOXES.format(tile=snippet))
    def body(
        means: wp.array[wp.float32],
        extents: wp.array[wp.float32],
        order: wp.array[wp.int32],
        ends: wp.array[wp.int32],
        members: wp.array[wp.int32],
        visible: int,
        tile: int,
        columns: int,
        rows: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        means: wp.array[wp.float32],
        extents: wp.array[wp.float32],
        order: wp.array[wp.int32],
        ends: wp.array[wp.int32],
        members: wp.array[wp.int32],
        visible: int,
        tile: int,
        columns: int,
        rows: int,
    ) -> None:
        body(means, extents, order, ends, members, visible, tile, columns, rows)

    return kernel
