"""The warp kernel behind `scatter_rows`, for the CPU and for CUDA. Imports warp: only for use where it is installed.

The body is C++, not warp's Python, because that keeps loops over a constant number of channels in vector registers.
"""

from __future__ import annotations

import functools
from typing import Any

import warp as wp

SCATTER = """
    constexpr int corners = {corners}, channels = {channels};
    for (long long p = first; p < last; ++p) {{
        const float* source = &gradient[p * channels];
        for (int j = 0; j < corners; ++j) {{
            const float factor = weight[p * corners + j];
            float* row = &out[index[p * corners + j] * channels];
            for (int c = 0; c < channels; ++c) wp::atomic_add(row + c, factor * source[c]);
        }}
    }}
"""
"""Warp's atomic_add is a plain addition on the CPU."""


@functools.cache
def scatter_kernel(corners: int, channels: int) -> Any:
    """The kernel for (P, `corners`) indices into tables (N, `channels`)."""

    @wp.func_native(SCATTER.format(corners=corners, channels=channels))
    def scatter(
        gradient: wp.array[wp.float32],
        index: wp.array[wp.int64],
        weight: wp.array[wp.float32],
        out: wp.array[wp.float32],
        first: int,
        last: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        gradient: wp.array[wp.float32],
        index: wp.array[wp.int64],
        weight: wp.array[wp.float32],
        out: wp.array[wp.float32],
        points: int,
        block: int,
    ) -> None:
        thread = wp.tid()
        scatter(gradient, index, weight, out, thread * block, wp.min((thread + 1) * block, points))

    return kernel
