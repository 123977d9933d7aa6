"""The warp kernels behind `plane_lookup` and `plane_features`, for the CPU. Imports warp: only where it is installed.

The bodies are C++, not warp's Python, for vector registers, and for the bits: those of PyTorch's operations, in which
sums over corners are fused with their products and nothing else is.
"""

from __future__ import annotations

import functools
from typing import Any

import warp as wp

PLANES = """
    #pragma clang fp contract(off)
    const float half = 0.5f * resolution, highest = resolution - 1.0f;
    for (long long p = first; p < last; ++p) {
        float fraction[3];
        int low[3];
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
            const float fx = fraction[column], fy = fraction[row];
            const float weights[4] = {(1.0f - fx) * (1.0f - fy), fx * (1.0f - fy), (1.0f - fx) * fy, fx * fy};
            const long long corner = ((long long)plane * resolution + low[row]) * resolution + low[column];
            const long long rows[4] = {corner, corner + 1, corner + resolution, corner + resolution + 1};
            const long long lookup = 3 * p + plane;
            DO
        }
    }
"""
"""Rows and weights of the corners around points, as `_corners_reference` has them, and what a kernel does with them."""

KEEP = "for (int j = 0; j < 4; ++j) { index[4 * lookup + j] = rows[j]; weight[4 * lookup + j] = weights[j]; }"

SUM = """
            const float *a = &planes[rows[0] * CHANNELS], *b = a + CHANNELS;
            const float *c = &planes[rows[2] * CHANNELS], *d = c + CHANNELS;
            for (int i = 0; i < CHANNELS; ++i)
                out[lookup * CHANNELS + i] = __builtin_fmaf(weights[3], d[i], __builtin_fmaf(weights[2], c[i],
                    __builtin_fmaf(weights[1], b[i], weights[0] * a[i])));
"""


@functools.cache
def corners_kernel() -> Any:
    """Writes rows and weights (P, 12) of points (P, 3) in planes of a resolution."""

    @wp.func_native(PLANES.replace("DO", KEEP))
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


@functools.cache
def features_kernel(channels: int) -> Any:
    """Writes the features (P, 3, `channels`) of points (P, 3) in planes (3, K, K, `channels`)."""

    @wp.func_native(PLANES.replace("DO", SUM.replace("CHANNELS", str(channels))))
    def features(
        points: wp.array[wp.float32],
        planes: wp.array[wp.float32],
        out: wp.array[wp.float32],
        resolution: int,
        first: int,
        last: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        points: wp.array[wp.float32],
        planes: wp.array[wp.float32],
        out: wp.array[wp.float32],
        resolution: int,
        count: int,
        block: int,
    ) -> None:
        thread = wp.tid()
        features(points, planes, out, resolution, thread * block, wp.min((thread + 1) * block, count))

    return kernel
