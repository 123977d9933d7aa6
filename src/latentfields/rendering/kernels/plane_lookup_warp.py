"""The warp kernel behind the corners of `plane_lookup`, for the CPU. Imports warp: only for use where it is installed.

The body is C++, not warp's Python, so that no product and sum become one instruction, whose last bit would differ.
"""

from __future__ import annotations

import functools
from typing import Any

import warp as wp

CORNERS = """
    #pragma clang fp contract(off)
    const float half = 0.5f * resolution, highest = resolution - 1.0f;
    for (long long p = first; p < last; ++p) {
        float fraction[3];
        long long low[3];
        for (int axis = 0; axis < 3; ++axis) {
            float position = (points[3 * p + axis] + 1.0f) * half - 0.5f;
            position = position < 0.0f ? 0.0f : (position > highest ? highest : position);
            // Not negative: the integer part is the floor. A point on the far side belongs to the last cell.
            const int cell = (int)position;
            low[axis] = cell < resolution - 2 ? cell : resolution - 2;
            fraction[axis] = position - low[axis];
        }
        for (int plane = 0; plane < 3; ++plane) {
            const int column = plane == 2, row = plane == 0 ? 1 : 2;
            const long long corner = (plane * resolution + low[row]) * resolution + low[column];
            const float fx = fraction[column], fy = fraction[row];
            const long long out = 12 * p + 4 * plane;
            index[out] = corner;
            index[out + 1] = corner + 1;
            index[out + 2] = corner + resolution;
            index[out + 3] = corner + resolution + 1;
            weight[out] = (1.0f - fx) * (1.0f - fy);
            weight[out + 1] = fx * (1.0f - fy);
            weight[out + 2] = (1.0f - fx) * fy;
            weight[out + 3] = fx * fy;
        }
    }
"""


@functools.cache
def corners_kernel() -> Any:
    """Writes rows and weights (P, 12) of points (P, 3) in planes of a resolution."""

    @wp.func_native(CORNERS)
    def corners(
        points: wp.array[wp.float32],
        index: wp.array[wp.int64],
        weight: wp.array[wp.float32],
        resolution: int,
        first: int,
        last: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        points: wp.array[wp.float32],
        index: wp.array[wp.int64],
        weight: wp.array[wp.float32],
        resolution: int,
        count: int,
        block: int,
    ) -> None:
        thread = wp.tid()
        corners(points, index, weight, resolution, thread * block, wp.min((thread + 1) * block, count))

    return kernel
