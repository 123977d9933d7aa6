"""The warp kernels behind `hash_encoding`, for the CPU and for CUDA. Imports warp: only for use where it is installed.

The bodies are C++, not warp's Python: compiled by warp all the same, they are several times as fast on the CPU. One
logical thread encodes a block of points at one level; on CUDA a block is one point.
"""

from __future__ import annotations

import functools
from typing import Any

import warp as wp

LANES = """
    constexpr int features = {features};
    // A thread of CUDA has one point anyway; on the CPU loops over lanes become vector instructions.
#if defined(__CUDA_ARCH__)
    constexpr int lanes = 1;
#else
    constexpr int lanes = 16;
#endif
    // What a step along y and z is worth: rows of a dense level, factors of the hash otherwise.
    const unsigned y_stride = dense ? resolution + 1u : {y_prime}u;
    const unsigned z_stride = dense ? (resolution + 1u) * (resolution + 1u) : {z_prime}u;
    for (int start = first; start < last; start += lanes) {{
        const int used = last - start < lanes ? last - start : lanes;
        // The cell of every point, and where in it the point lies. Lanes past the end repeat the last point.
        float fraction[3][lanes];
        unsigned low[3][lanes];
        for (int axis = 0; axis < 3; ++axis)
            for (int i = 0; i < lanes; ++i) {{
                const long long p = i < used ? start + i : last - 1;
                float position = (points[3 * p + axis] + 1.0f) * (0.5f * resolution);
                position = position < 0.0f ? 0.0f : (position > resolution ? (float)resolution : position);
                const int cell = (int)position;
                low[axis][i] = cell < resolution - 1 ? cell : resolution - 1;
                fraction[axis][i] = position - low[axis][i];
            }}
        // Of the eight corners, bit 0 is the step along x, bit 1 along y, bit 2 along z. Table sizes are powers of two,
        // so the remainder of the hash is a mask.
        unsigned row[8][lanes];
        float weight[8][lanes];
        for (int corner = 0; corner < 8; ++corner) {{
            const unsigned dx = corner & 1, dy = corner >> 1 & 1, dz = corner >> 2;
            for (int i = 0; i < lanes; ++i) {{
                const unsigned x = low[0][i] + dx, y = (low[1][i] + dy) * y_stride, z = (low[2][i] + dz) * z_stride;
                row[corner][i] = first_row + (dense ? x + y + z : (x ^ y ^ z) & (rows - 1u));
                weight[corner][i] = (dx ? fraction[0][i] : 1.0f - fraction[0][i])
                    * (dy ? fraction[1][i] : 1.0f - fraction[1][i])
                    * (dz ? fraction[2][i] : 1.0f - fraction[2][i]);
            }}
        }}
        // Gathering rows is no vector work: point by point.
        for (int i = 0; i < used; ++i) {{
            const long long column = ((start + i) * (long long)levels + level) * features;
            {point}
        }}
    }}
"""
"""Rows and weights of the vertices around points, as `cell_corners` has them, sixteen points at a time so that the CPU
does that part in vectors; 32 bits wrap as the hash needs. Then, for every point, what a kernel does with them."""

ENCODE = """
            float sum[features] = {};
            for (int corner = 0; corner < 8; ++corner)
                for (int f = 0; f < features; ++f)
                    sum[f] += weight[corner][i] * table[(long long)row[corner][i] * features + f];
            for (int f = 0; f < features; ++f) encoding[column + f] = sum[f];
"""

ENCODE_BACKWARD = """
            for (int corner = 0; corner < 8; ++corner)
                for (int f = 0; f < features; ++f)
                    wp::atomic_add(
                        &table[(long long)row[corner][i] * features + f], weight[corner][i] * encoding[column + f]);
"""
"""Warp's atomic_add is a plain addition on the CPU."""


@functools.cache
def encode_kernel(features: int, *, primes: tuple[int, int, int]) -> Any:
    """Writes the encoding of points under a table of rows of `features`; `primes` are the factors of the hash."""
    return _kernel(_snippet(features, primes, ENCODE))


@functools.cache
def encode_backward_kernel(features: int, *, primes: tuple[int, int, int]) -> Any:
    """Adds to the table's gradient what the encoding's gradient says."""
    return _kernel(_snippet(features, primes, ENCODE_BACKWARD))


def _snippet(features: int, primes: tuple[int, int, int], point: str) -> str:
    """The C++ body that does `point` for every point."""
    x_prime, y_prime, z_prime = primes
    assert x_prime == 1, x_prime  # The body leaves it out.
    return LANES.format(features=features, y_prime=y_prime, z_prime=z_prime, point=point)


def _kernel(snippet: str) -> Any:
    """A kernel over blocks of points and levels."""

    @wp.func_native(snippet)
    def body(
        table: wp.array[wp.float32],
        points: wp.array[wp.float32],
        encoding: wp.array[wp.float32],
        resolution: int,
        first_row: int,
        rows: int,
        dense: int,
        level: int,
        levels: int,
        first: int,
        last: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        table: wp.array[wp.float32],
        points: wp.array[wp.float32],
        encoding: wp.array[wp.float32],
        level_table: wp.array[wp.int32],
        count: int,
        block: int,
        levels: int,
    ) -> None:
        thread, level = wp.tid()
        body(
            table,
            points,
            encoding,
            level_table[4 * level],
            level_table[4 * level + 1],
            level_table[4 * level + 2],
            level_table[4 * level + 3],
            level,
            levels,
            thread * block,
            wp.min((thread + 1) * block, count),
        )

    return kernel
