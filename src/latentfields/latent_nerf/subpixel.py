"""Sub-latent rendering: several rays per latent, mixed by a small learned projection. Ours, beyond the paper.

One ray per latent sees a point of an area of factor x factor pixels, and the features of a 3D field do not turn with
the camera, while the codes of an image autoencoder do: a stripe has another code when it is tilted or shifted by a
pixel. So the field is rendered at k times the resolution, where it can stay simple and consistent between
views, and a two-layer convolution, shared by all views and fitted with the scene, turns the picture it sees into
latents, as the autoencoder's encoder does with pixels.

Shape suffixes: B images, C channels, k rays per latent along one side, h, w latent size.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SubpixelProjection(nn.Module):
    """Rendered features of k times the resolution to latents; starts as the mean over each latent's area."""

    reach = 2
    """Latents on each side of a latent whose renders it depends on: one by each convolution."""

    def __init__(self, channels: int, *, subpixels: int, width: int) -> None:
        """`subpixels` is k, an even number; `width` the number of hidden channels."""
        super().__init__()
        assert subpixels % 2 == 0, subpixels
        self.subpixels = subpixels
        self.gather = nn.Conv2d(
            channels, width, 2 * subpixels, stride=subpixels, padding=subpixels // 2, padding_mode="replicate"
        )
        self.mix = nn.Conv2d(width, channels, 3, padding=1, padding_mode="replicate")
        nn.init.zeros_(self.mix.weight)
        assert self.mix.bias is not None
        nn.init.zeros_(self.mix.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, k h, k w) to (B, C, h, w)."""
        mean = torch.nn.functional.avg_pool2d(features, self.subpixels)
        out: Tensor = mean + self.mix(torch.relu(self.gather(features)))
        return out
