"""What all objects of a collection share, but for the autoencoder: base planes, MLP, projection and background.

Shape suffixes: M base Tri-Planes, K plane resolution, F macro features, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentfields.fields.field import Head
from latentfields.fields.triplane import PLANES_SPREAD, TriPlaneHead
from latentfields.fused_planes.config import FusedPlanesConfig
from latentfields.latent_nerf.subpixel import SubpixelProjection


class SharedModel(nn.Module):
    """Base planes, MLP, projection and background."""

    background: Tensor

    def __init__(self, config: FusedPlanesConfig, background: Tensor, *, head: Head) -> None:
        """`background` (C,) lies behind all objects; weights are drawn from torch's global generator.

        Before a projection, the background is a feature that only the projection makes a latent of, and is trained.
        """
        super().__init__()
        k = config.resolution
        self.base = nn.Parameter(
            PLANES_SPREAD * torch.randn(config.base_planes, 3, k, k, config.macro_features)
        )
        self.head = TriPlaneHead(config.triplane, len(background), head)
        self.projection: SubpixelProjection | None = None
        if config.subpixels > 1 and head == "linear":
            self.projection = SubpixelProjection(
                len(background), subpixels=config.subpixels, width=config.subpixel_width
            )
            self.background = nn.Parameter(background.clone())
        else:
            self.register_buffer("background", background.clone())

    def renderer_parameters(self) -> list[nn.Parameter]:
        """All but the base planes."""
        return [parameter for parameter in self.parameters() if parameter is not self.base]
