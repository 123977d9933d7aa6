"""The space in which a field is fitted to latents: as they are, or squashed, as the code released with IG-AE does.

Shape suffixes: B images, C channels, h, w latent size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder

TANH_SCALE = 0.02
"""Factor of raw latents inside the tanh."""
TANH_EPSILON = 1e-6
"""Distance that squashed values keep from -1 and 1 when they are taken back, where atanh is infinite."""


class TanhNormalizer:
    """s = (tanh(0.02 z) + 1) / 2 of raw latents z, in [0, 1]; near zero it is linear, with a slope of 0.01."""

    def normalize(self, latents: Tensor, autoencoder: Autoencoder) -> Tensor:
        """Squashed values in [0, 1] of the autoencoder's latents (B, C, h, w), normalised per channel."""
        return (torch.tanh(TANH_SCALE * autoencoder.raw(latents)) + 1) / 2

    def denormalize(self, squashed: Tensor, autoencoder: Autoencoder) -> Tensor:
        """Latents (B, C, h, w), normalised per channel, of squashed values. Values outside of [0, 1] are clamped."""
        bound = 1 - TANH_EPSILON
        raw = torch.atanh((2 * squashed - 1).clamp(-bound, bound)) / TANH_SCALE
        return autoencoder.normalized(raw)
