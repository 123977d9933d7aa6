"""Multiresolution hash encoding (Mueller et al. 2022, Sec. 3): trainable features on levels of growing resolution.

A level of resolution n has (n + 1)^3 vertices over the cube. While that is no more than the table size, every vertex
has its own row (dense); finer levels share rows by a spatial hash, and the gradients of what is visible decide
collisions. A point's features are interpolated trilinearly from its cell's eight vertices, and concatenated over the
levels.

`hash_encoding` runs on warp; `hash_encoding_reference` is the same function in plain PyTorch, which also takes the
place of warp where points ask for gradients: the kernels have them for the table alone.

Shape suffixes: P points, L levels, N rows of all levels, F features per level.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentfields.rendering.kernels.backend import launch, points_per_thread, runs_on_warp

PRIMES = (1, 2_654_435_761, 805_459_861)
"""Factors of the coordinates in the spatial hash (Eq. 4). The first is one, so that neighbours along x stay neighbours
in memory."""

_DECIMALS = 6
"""Digits that resolutions are rounded to before they are cut to whole numbers, so that the last level is the finest and
not one cell coarser."""


@dataclass(frozen=True)
class Level:
    """One level of the pyramid."""

    resolution: int
    """Cells per side."""
    first_row: int
    """Where the level's rows start in the table."""
    rows: int
    """How many there are: (resolution + 1)^3, or the table size where vertices share rows."""

    @property
    def dense(self) -> bool:
        """True when every vertex has its own row."""
        return self.rows == (self.resolution + 1) ** 3


def pyramid(*, levels: int, coarsest: int, finest: int, table_size: int) -> tuple[Level, ...]:
    """`levels` levels from `coarsest` to `finest` cells per side, in geometric progression (Eqs. 2 and 3).

    `table_size` is T, the largest number of rows of one level, a power of two.
    """
    growth = math.exp(math.log(finest / coarsest) / max(levels - 1, 1))
    out: list[Level] = []
    first_row = 0
    for index in range(levels):
        resolution = math.floor(round(coarsest * growth**index, _DECIMALS))
        rows = min((resolution + 1) ** 3, table_size)
        out.append(Level(resolution, first_row, rows))
        first_row += rows
    return tuple(out)


def total_rows(levels: tuple[Level, ...]) -> int:
    """N, the rows of all levels."""
    return levels[-1].first_row + levels[-1].rows


def cell_corners(points: Tensor, level: Level) -> tuple[Tensor, Tensor]:
    """Rows within the level (P, 8), int64, and trilinear weights (P, 8) of the vertices around points (P, 3).

    The cube is [-1, 1]^3; points outside count as the nearest on its surface. Of the vertices, x alternates fastest.
    """
    cells = level.resolution
    position = ((points + 1.0) * (cells / 2)).clamp(0, cells)
    # A point on the far side belongs to the last cell, with the fraction 1.
    low = position.floor().clamp(max=cells - 1)
    fraction = position - low
    step = torch.cartesian_prod(*[torch.arange(2, device=points.device)] * 3).flip(1)
    weight = torch.where(step.bool(), fraction[:, None], 1 - fraction[:, None]).prod(dim=-1)
    x, y, z = (low.long()[:, None] + step).unbind(-1)
    if level.dense:
        return x + (cells + 1) * (y + (cells + 1) * z), weight
    # int64 does not overflow here: the low bits, which the remainder keeps, are those that 32 bits would have.
    return (x * PRIMES[0] ^ y * PRIMES[1] ^ z * PRIMES[2]) % level.rows, weight


def hash_encoding_reference(table: Tensor, points: Tensor, levels: tuple[Level, ...]) -> Tensor:
    """Features (P, L F), coarsest level first, of a table (N, F) at points (P, 3) in [-1, 1]^3."""
    features = []
    for level, rows in zip(levels, table.split([level.rows for level in levels]), strict=True):
        index, weight = cell_corners(points, level)
        features.append((rows[index] * weight[..., None]).sum(dim=1))
    return torch.cat(features, dim=1)


def hash_encoding(table: Tensor, points: Tensor, levels: tuple[Level, ...]) -> Tensor:
    """`hash_encoding_reference`, some ten times faster on a CPU with warp.

    The same bits every time on the CPU; on CUDA the order of the gradients' additions varies.
    """
    if points.requires_grad or not runs_on_warp(table, points) or len(points) == 0:
        return hash_encoding_reference(table, points, levels)
    out: Tensor = _HashEncoding.apply(table, points, levels)  # type: ignore[no-untyped-call]
    return out


class _HashEncoding(torch.autograd.Function):
    """The encoding on warp, with a gradient for the table."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, points: Tensor, levels: tuple[Level, ...]) -> Tensor:
        from latentfields.rendering.kernels.hash_encoding_warp import encode_kernel

        points = points.contiguous()
        ctx.save_for_backward(points)
        ctx.levels, ctx.shape = levels, table.shape
        out = table.new_empty(len(points), len(levels) * table.shape[1])
        _launch(encode_kernel(table.shape[1], primes=PRIMES), table.contiguous(), points, out, levels)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        from latentfields.rendering.kernels.hash_encoding_warp import encode_backward_kernel

        (gradient,) = gradients
        (points,) = ctx.saved_tensors
        out = gradient.new_zeros(ctx.shape)
        _launch(
            encode_backward_kernel(ctx.shape[1], primes=PRIMES),
            out,
            points,
            gradient.contiguous(),
            ctx.levels,
        )
        return out, None, None


def _launch(kernel: Any, table: Tensor, points: Tensor, encoding: Tensor, levels: tuple[Level, ...]) -> None:
    """Run one of the kernels, which share their arguments: a logical thread for each block of points and level."""
    block = points_per_thread(points)
    table_of_levels = _level_table(levels, points.device)
    size = (-(-len(points) // block), len(levels))
    launch(kernel, size, table, points, encoding, table_of_levels, len(points), block, len(levels))


@functools.cache
def _level_table(levels: tuple[Level, ...], device: torch.device) -> Tensor:
    """Resolution, first row, rows and whether it is dense, of every level, for the kernels: (L, 4) int32."""
    rows = [(level.resolution, level.first_row, level.rows, level.dense) for level in levels]
    return torch.tensor(rows, dtype=torch.int32, device=device)
