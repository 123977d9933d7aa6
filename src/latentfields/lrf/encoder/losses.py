"""The losses of a correspondence-aware encoder, equation by equation (LRF Sec. 4.1).

Sums over points and channels are means here, so that weights depend neither on resolution nor on the number of points.
All of these terms are about encoded latents: their gradients reach the encoder only.

Shape suffixes: B images or image pairs, K points of a pair, C latent channels, h, w latent size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.devices import like
from latentfields.lrf.encoder.config import EncoderWeightsConfig


def latents_at(latents: Tensor, positions: Tensor, *, factor: int) -> Tensor:
    """Bilinear values (B, K, C) of latents (B, C, h, w) at pixel positions (B, K, 2), (column, row), centres at +0.5.

    The latent (i, j) lies at the centre of its `factor` x `factor` pixels; beyond the outermost centres it is repeated.
    """
    size = like([latents.shape[3], latents.shape[2]], positions) * factor
    values = torch.nn.functional.grid_sample(
        latents, (positions / size * 2 - 1)[:, :, None], padding_mode="border", align_corners=False
    )
    return values[..., 0].transpose(1, 2)


OFF_CENTRE = 0.1
"""Latents between a point and the centre of its latent up to which it counts as lying there."""


def exchanged_latents(
    latents: Tensor, values: Tensor, positions: Tensor, shared: Tensor, *, factor: int
) -> Tensor:
    """Latents (B, C, h, w) in which those whose centres are points have the values that the other images give them.

    `values` (B, K, C) are the other images' latents at the points, `positions` (B, K, 2) where these lie in the images
    of `latents`, in pixels, (column, row), centres at +0.5, and `shared` (B, K) bool says which of the K entries are
    points. Points between the centres of latents change nothing: their values belong elsewhere.
    """
    height, width = latents.shape[2:]
    cells = positions / factor
    nearest = cells.floor()
    centred = shared & ((cells - nearest - 0.5).abs() <= OFF_CENTRE).all(dim=2)
    centred &= (nearest >= 0).all(dim=2) & (nearest < like([width, height], positions)).all(dim=2)
    rows = torch.arange(len(latents), device=latents.device)[:, None].expand_as(centred)[centred]
    places = (nearest[..., 1] * width + nearest[..., 0]).long()[centred]
    flat = latents.flatten(2).transpose(1, 2).index_put((rows, places), values[centred].to(latents.dtype))
    mixed: Tensor = flat.transpose(1, 2).unflatten(2, (height, width))
    return mixed


SMALLEST_SPREAD = 0.1
"""Added to a pair's spread, so that plain surfaces do not outweigh all others."""


def correspondence_loss(first: Tensor, second: Tensor, shared: Tensor, weights: Tensor) -> Tensor:
    """L_corres, LRF Eq. 6: sum over image pairs of lambda_ij ||z_i - z_j||_1, a scalar.

    `first` and `second` (B, K, C) are latents at the corresponding points of B pairs, `shared` (B, K) bool says which
    of the K entries are points that both images see, `weights` (B,) are the lambda_ij, which sum to 1. The norm is a
    mean over channels and over the points of the pair; a pair without points adds nothing.
    """
    distances = (first - second).abs().mean(dim=2) * shared
    return (weights * distances.sum(dim=1) / shared.sum(dim=1).clamp(min=1)).sum()


def relative_correspondence_loss(first: Tensor, second: Tensor, shared: Tensor, weights: Tensor) -> Tensor:
    """L_corres with each pair's distance in units of the spread of its latents: shrinking them does not lower it.

    Arguments are those of `correspondence_loss`. Eq. 6 as it stands falls fastest when latents lose contrast. Here the
    mean |z_i - z_j| of a pair is divided by the mean absolute deviation of all its latents from their mean, which takes
    gradients too: the term falls when more of what varies over the surface is shared.
    """
    latents = torch.cat([first, second], dim=1)
    mask = torch.cat([shared, shared], dim=1)[..., None]
    count = mask.sum(dim=1, keepdim=True).clamp(min=1)
    deviation = (latents - (latents * mask).sum(dim=1, keepdim=True) / count).abs() * mask
    spread = deviation.mean(dim=2).sum(dim=1) / count[:, 0, 0]
    return correspondence_loss(first, second, shared, weights / (spread + SMALLEST_SPREAD))


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
