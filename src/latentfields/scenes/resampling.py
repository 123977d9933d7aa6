"""Pictures with straight alpha: resampled, and composited on a colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def composited(colors: Tensor, alpha: Tensor, background: Tensor | Sequence[float]) -> Tensor:
    """Pictures (..., 3, H, W) float with straight `alpha` (..., 1, H, W) in [0, 1] over a colour (3,)."""
    behind = torch.as_tensor(background, dtype=colors.dtype, device=colors.device).view(3, 1, 1)
    return colors * alpha + behind * (1 - alpha)


def resample(
    pixels: Tensor, alpha: Tensor | None, operation: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor | None]:
    """`pixels` (B, 3, H, W) and `alpha` (B, 1, H, W) or None, uint8, after a linear `operation` on planes.

    Colours are averaged premultiplied, or the hidden colour of empty pixels would bleed in; the result is
    uint8 with straight alpha again. One channel at a time: photographs are large, and as numbers four times as large.
    """
    channels = pixels.split(1, dim=1)
    if alpha is None:
        return torch.cat([_to_uint8(operation(channel.float())) for channel in channels], dim=1), None
    weight = alpha.float()
    coverage = operation(weight)
    divisor = coverage.clamp(min=1e-3)
    colors = [_to_uint8(operation(channel.float() * weight) / divisor) for channel in channels]
    return torch.cat(colors, dim=1), _to_uint8(coverage)


def resize(pixels: Tensor, alpha: Tensor | None, *, width: int, height: int) -> tuple[Tensor, Tensor | None]:
    """Area-averaged (antialiased) pictures on another pixel grid; shapes and types as in `resample`."""
    return resample(pixels, alpha, lambda planes: area_averaged(planes, width=width, height=height))


def area_averaged(planes: Tensor, *, width: int, height: int) -> Tensor:
    """Float planes (B, C, H, W) on another pixel grid, antialiased."""
    return torch.nn.functional.interpolate(
        planes, size=(height, width), mode="bilinear", antialias=True, align_corners=False
    )


def _to_uint8(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
