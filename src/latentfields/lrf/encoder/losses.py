"""The losses of a correspondence-aware encoder, equation by equation (LRF Sec. 4.1).

Sums over points and channels are means here, so that weights depend neither on resolution nor on the number of points.
All of these terms are about encoded latents: their gradients reach the encoder only.

Shape suffixes: B images or image pairs, K points of a pair, C latent channels, h, w latent size.
"""

from __future__ import annotations

from torch import Tensor

from latentfields.lrf.encoder.config import EncoderWeightsConfig


def kl_to_original(mean: Tensor, log_variance: Tensor, original: tuple[Tensor, Tensor]) -> Tensor:
    """KL(q || q_original) (B,), in nats: of diagonal Gaussians to the `original` mean and log-variance, (B, C, h, w).

    L_reg of LRF Eq. 7 is minus this, and lambda_2 would then have to be negative: the sign is plus here, because the
    term is there to keep the posterior close to the original one. It does not depend on how latents are normalised.
    """
    original_mean, original_log_variance = original
    ratio = (log_variance - original_log_variance).exp()
    distance = (mean - original_mean).square() / original_log_variance.exp()
    return 0.5 * (ratio + distance - 1 - log_variance + original_log_variance).flatten(1).sum(dim=1)


def distance_to_original(latents: Tensor, original: Tensor) -> Tensor:
    """L_reg of a deterministic autoencoder: mean squared difference of (B, C, h, w) to the original latents.

    Up to a constant factor what the KL divergence is between posteriors of one fixed variance.
    """
    return (latents - original).square().mean()


def stage_one_loss(
    vae: Tensor,
    correspondence: Tensor,
    regularisation: Tensor,
    weights: EncoderWeightsConfig,
    *,
    variational: bool,
) -> Tensor:
    """L_StageI = L_VAE + lambda_1 L_corres + lambda_2 L_reg, LRF Eq. 7, of three scalars.

    `regularisation` is the KL divergence per pixel value where the autoencoder is `variational`, and otherwise the
    distance to the original latents; each has a lambda_2 of its own.
    """
    factor = weights.original_kl if variational else weights.original_distance
    return vae + weights.correspondence * correspondence + factor * regularisation
