"""Weighted sums of table rows, which interpolation in planes and lines comes down to.

`gather_rows` is fast forwards everywhere and backwards on warp; without warp, gradients are scattered one corner at a
time. Gradients reach the table and the weights, each where it asks for them.

Shape suffixes: P points, J rows per point, N rows of the table, C channels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentfields.rendering.kernels.backend import launch, points_per_thread, runs_on_warp


def gather_rows(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """sum_j weight[p, j] table[index[p, j]]: (P, C), of a table (N, C), int64 indices and weights (P, J)."""
    out: Tensor = _GatherRows.apply(table, index, weight)  # type: ignore[no-untyped-call]
    return out


def scatter_rows_reference(gradient: Tensor, index: Tensor, weight: Tensor, *, rows: int) -> Tensor:
    """The transpose of `gather_rows`: (P, C) to a table (N, C) that is zero where nothing points to."""
    out = gradient.new_zeros(rows, gradient.shape[1])
    # One corner at a time: the temporaries stay small enough for the cache.
    for corner in range(index.shape[1]):
        out.index_add_(0, index[:, corner], gradient * weight[:, corner, None])
    return out


def scatter_rows(gradient: Tensor, index: Tensor, weight: Tensor, *, rows: int) -> Tensor:
    """`scatter_rows_reference`, some ten times faster on a CPU with warp.

    In the order of the points on the CPU; on CUDA the order of additions, and so the last bits, vary.
    """
    if not runs_on_warp(gradient, weight) or index.numel() == 0:
        return scatter_rows_reference(gradient, index, weight, rows=rows)
    from latentfields.rendering.kernels.row_gather_warp import scatter_kernel

    points, corners = index.shape
    channels = gradient.shape[1]
    out = gradient.new_zeros(rows, channels)
    block = points_per_thread(gradient)
    tensors = (gradient.contiguous(), index.contiguous(), weight.contiguous(), out)
    launch(scatter_kernel(corners, channels), -(-points // block), *tensors, points, block)
    return out


class _GatherRows(torch.autograd.Function):
    """`gather_rows` and `scatter_rows`."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        # Weights ask for gradients where cameras do; otherwise nobody needs the table again.
        kept = (table,) if ctx.needs_input_grad[2] else ()
        ctx.save_for_backward(index, weight, *kept)
        ctx.rows = table.shape[0]
        return torch.nn.functional.embedding_bag(index, table, per_sample_weights=weight, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        (gradient,) = gradients
        index, weight, *kept = ctx.saved_tensors
        of_table = scatter_rows(gradient, index, weight, rows=ctx.rows) if ctx.needs_input_grad[0] else None
        return of_table, None, _weight_gradient(gradient, index, *kept) if kept else None


def _weight_gradient(gradient: Tensor, index: Tensor, table: Tensor) -> Tensor:
    """Gradients (P, J) of the weights: products of each row with the gradient (P, C) of what it went into."""
    corners = [(table[index[:, corner]] * gradient).sum(dim=1) for corner in range(index.shape[1])]
    return torch.stack(corners, dim=1)
