"""Images of projected Gaussians over a background.

Shape suffixes: N Gaussians, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.rendering.splatting.compositing import composite
from latentfields.rendering.splatting.projection import ALPHA_CUT, ProjectedGaussians


@dataclass(frozen=True)
class Splatted:
    """What one camera sees."""

    features: Tensor
    """(C, H, W) composited over the background."""
    opacity: Tensor
    """(1, H, W) in [0, 1]."""
    depth: Tensor
    """(1, H, W) expected depth along the viewing axis of what the Gaussians show, that is divided by the opacity; 0
    where there is none."""


def rasterise(
    projected: ProjectedGaussians, features: Tensor, background: Tensor, *, width: int, height: int
) -> Splatted:
    """Composite Gaussians with features (N, C) over `background` (C,) to `width` x `height` pixels.

    Differentiable in all but the extents and radii.
    """
    values = torch.cat([features, projected.depths[:, None]], dim=1)
    summed, transmittance = composite(projected, values, width=width, height=height)
    opacity = 1 - transmittance
    # Where anything contributes at all, the opacity is at least the cut: this only avoids 0 / 0.
    depth = summed[-1] / opacity.clamp(min=ALPHA_CUT)
    seen = summed[:-1] + transmittance * background[:, None, None]
    return Splatted(features=seen, opacity=opacity[None], depth=depth[None])
