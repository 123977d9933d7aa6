"""Differences of exposure and white balance between photographs: an affine map of colours for each of them.

As in the exposure compensation of 3DGS's authors and in URF (Rematas et al. 2022, Eq. 4), but without a network.

Shape suffixes: V training views, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ExposureMaps(nn.Module):
    """x -> A_v x + b_v for every view v. The mean of all maps is the identity, which unseen views are rendered with."""

    def __init__(self, views: int, channels: int) -> None:
        """All maps start as the identity."""
        super().__init__()
        self.matrices = nn.Parameter(torch.zeros(views, channels, channels))
        self.offsets = nn.Parameter(torch.zeros(views, channels))

    def forward(self, features: Tensor, views: Tensor) -> Tensor:
        """The features (N, C, ...) as the photographs `views` (N,) show them."""
        # Less the mean: what all views have in common is the scene's.
        matrices = (self.matrices - self.matrices.mean(dim=0))[views]
        offsets = (self.offsets - self.offsets.mean(dim=0))[views]
        flat = features.flatten(2) if features.dim() > 2 else features[..., None]
        return (flat + matrices @ flat + offsets[..., None]).view_as(features)
