"""L_VAE of LRF Eq. 1, as latent diffusion models train it (Rombach et al., CVPR 2022, App. G).

All terms are means per value of the images, which divides their sums per image by 3 H W and leaves their proportions.

Shape suffixes: B images, H, W image size, C latent channels, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from latentfields.autoencoders.losses import kl_to_standard_normal, reconstruction_loss
from latentfields.lrf.encoder.config import EncoderWeightsConfig


def reconstruction_terms(
    decoded: Tensor,
    images: Tensor,
    *,
    perceptual: Callable[[Tensor, Tensor], Tensor],
    kind: Literal["l1", "mse"] = "l1",
) -> tuple[Tensor, Tensor]:
    """Mean absolute, or squared, error and mean perceptual distance, scalars, of images (B, 3, H, W) in [0, 1]."""
    return reconstruction_loss(decoded, images, kind=kind), perceptual(decoded, images).mean()


def kl_per_value(mean: Tensor, log_variance: Tensor, images: Tensor) -> Tensor:
    """KL divergence to the standard normal, in nats per value of the images: of raw posteriors (B, C, h, w)."""
    return kl_to_standard_normal(mean, log_variance) / images[0].numel()


def vae_loss(
    reconstruction: Tensor,
    perceptual: Tensor,
    kl: Tensor,
    adversarial: Tensor,
    weights: EncoderWeightsConfig,
) -> Tensor:
    """L_VAE from its scalar terms; `adversarial` is weighted already. Terms that are not used are zero."""
    return reconstruction + weights.perceptual * perceptual + weights.kl * kl + adversarial
