"""Alpha compositing of projected Gaussians, front to back (LRF, Eq. 9; Kerbl et al. 2023, Eq. 3).

A Gaussian's alpha at a pixel is its opacity times exp(-d^T Sigma'^-1 d / 2), with d from the centre of the Gaussian
to that of the pixel, and at most `ALPHA_CAP`; less than `ALPHA_CUT` counts as nothing. A Gaussian that would leave no
more than `LEAST_TRANSMITTANCE` of the light, and all behind it, are left out: the constants are those of 3DGS.

`composite` runs on warp; `composite_reference` is the same function in plain PyTorch.

Shape suffixes: N Gaussians, C channels, H height, W width, P pixels of a tile, K Gaussians of a tile.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from latentfields.rendering.kernels.backend import launch, runs_on_warp
from latentfields.rendering.splatting.compositing_gsplat import composite_gsplat, gsplat_wanted
from latentfields.rendering.splatting.constants import ALPHA_CAP, ALPHA_CUT, LEAST_TRANSMITTANCE
from latentfields.rendering.splatting.projection import ProjectedGaussians
from latentfields.rendering.splatting.tiles import tile_lists, tile_lists_reference

TILE = 8
"""Pixels per side of the twin's tiles."""


def composite(
    projected: ProjectedGaussians, values: Tensor, *, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """`composite_reference`, many times faster with warp; on CUDA, by gsplat where that is asked for.

    The same bits every time on the CPU; on CUDA the order of the gradients' additions varies.
    """
    if gsplat_wanted(values.device):
        return composite_gsplat(projected, values, width=width, height=height)
    inputs = (projected.means_2d, projected.conics, projected.opacities, values)
    if not runs_on_warp(*inputs):
        return composite_reference(projected, values, width=width, height=height)
    bodies = _bodies(values.device)
    lists = tile_lists(projected, tile=bodies.TILE, width=width, height=height)
    out: tuple[Tensor, Tensor] = _Composite.apply(*inputs, *lists, bodies, width, height)  # type: ignore[no-untyped-call]
    return out


def composite_reference(
    projected: ProjectedGaussians, values: Tensor, *, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """Sums of values (N, C) weighted by what is seen of each Gaussian (C, H, W), and the transmittance left (H, W).

    Differentiable in centres, conics, opacities and values.
    """
    starts, order = tile_lists_reference(projected, tile=TILE, width=width, height=height)
    columns, rows = -(-width // TILE), -(-height // TILE)
    summed, left = [], []
    for index, members in enumerate(order.split(starts.diff().tolist())):
        pixels = _pixel_centres(index % columns, index // columns, values)
        weights, transmittance = _weights(projected, members, pixels)
        summed.append(weights @ values[members])
        left.append(transmittance)
    return (
        _assemble(torch.stack(summed), rows, columns)[:, :height, :width],
        _assemble(torch.stack(left)[..., None], rows, columns)[0, :height, :width],
    )


def _pixel_centres(column: int, row: int, like: Tensor) -> Tensor:
    """(P, 2) of the pixels of a tile, row by row."""
    offset = torch.arange(TILE, device=like.device, dtype=like.dtype) + 0.5
    y, x = torch.meshgrid(row * TILE + offset, column * TILE + offset, indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2)


def _weights(projected: ProjectedGaussians, members: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (P, K) of Gaussians `members` (K,), given front to back, and the transmittance behind them (P,)."""
    dx, dy = (pixels[:, None] - projected.means_2d[members]).unbind(-1)
    xx, xy, yy = projected.conics[members].unbind(-1)
    exponent = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (projected.opacities[members] * torch.exp(-exponent)).clamp(max=ALPHA_CAP)
    alpha = alpha * (alpha >= ALPHA_CUT)
    # Where the light ends is a decision, not a function: no gradient goes through it.
    alpha = alpha * (torch.cumprod(1 - alpha.detach(), dim=-1) > LEAST_TRANSMITTANCE)
    passing = torch.cumprod(torch.nn.functional.pad(1 - alpha, (1, 0), value=1.0), dim=-1)
    return passing[:, :-1] * alpha, passing[:, -1]


def _assemble(tiles: Tensor, rows: int, columns: int) -> Tensor:
    """An image (C, rows TILE, columns TILE) of tiles (rows columns, P, C)."""
    blocks = tiles.view(rows, columns, TILE, TILE, -1)
    return blocks.permute(4, 0, 2, 1, 3).reshape(-1, rows * TILE, columns * TILE)


def _bodies(device: torch.device) -> ModuleType:
    """The module with the kernels' bodies for a device."""
    from latentfields.rendering.splatting import compositing_cpu, compositing_cuda

    return compositing_cpu if device.type == "cpu" else compositing_cuda


class _Composite(torch.autograd.Function):
    """The compositing on warp."""

    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        conics: Tensor,
        opacities: Tensor,
        values: Tensor,
        starts: Tensor,
        members: Tensor,
        bodies: ModuleType,
        width: int,
        height: int,
    ) -> tuple[Tensor, Tensor]:
        from latentfields.rendering.splatting.compositing_warp import forward_kernel

        inputs = [tensor.contiguous() for tensor in (means, conics, opacities, values, starts, members)]
        summed, left = values.new_empty(values.shape[1], height, width), values.new_empty(height, width)
        kernel = forward_kernel(bodies.forward_body(values.shape[1]))
        launch(kernel, bodies.threads(width=width, height=height), *inputs, summed, left, width, height)
        ctx.save_for_backward(*inputs, summed, left)
        ctx.bodies = bodies
        return summed, left

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from latentfields.rendering.splatting.compositing_warp import backward_kernel

        saved = ctx.saved_tensors
        outputs = [torch.zeros_like(tensor) for tensor in saved[:4]]
        channels, height, width = gradients[0].shape
        arrays = (*saved, *(gradient.contiguous() for gradient in gradients), *outputs)
        kernel = backward_kernel(ctx.bodies.backward_body(channels))
        launch(kernel, ctx.bodies.threads(width=width, height=height), *arrays, width, height)
        return (*outputs, *[None] * 5)
