"""Units of the losses: what Eqs. 6 to 10 take squared norms of.

Shape suffixes: B images, C latent channels, H, W image size, h, w latent size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.igae.config import Units
from latentfields.latent_nerf.latent_space import TANH_SCALE


@dataclass(frozen=True, eq=False)
class LossUnits:
    """Images and latents as the losses see them. Everything is differentiable."""

    units: Units
    autoencoder: Autoencoder
    """Its statistics say what normalised latents are in the network's own units."""

    def images(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1], or in [-1, 1], where squared errors are four times as large."""
        return 2 * images - 1 if self.units == "released" else images

    def latents(self, latents: Tensor) -> Tensor:
        """Normalised latents (B, C, h, w) as L_latent compares them: as they are, or tanh(0.02 z) of raw ones z."""
        if self.units == "normalised":
            return latents
        return torch.tanh(TANH_SCALE * self.autoencoder.raw(latents))

    def varied_latents(self, latents: Tensor) -> Tensor:
        """Normalised latents (B, C, h, w) as their total variation sees them: as they are, or raw.

        The released code squashes latents for L_latent alone.
        """
        return latents if self.units == "normalised" else self.autoencoder.raw(latents)
