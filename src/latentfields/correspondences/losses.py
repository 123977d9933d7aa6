"""L_corres of LRF (Sec. 4.1): latents of two images agree where both show the same point.

Sums over points and channels are means here, so that weights depend neither on resolution nor on the number of points.
These terms are about encoded latents: their gradients reach the encoder only.

Shape suffixes: B image pairs, K points of a pair, C latent channels, h, w latent size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.devices import like


def latents_at(latents: Tensor, positions: Tensor, *, factor: int) -> Tensor:
    """Bilinear values (B, K, C) of latents (B, C, h, w) at pixel positions (B, K, 2), (column, row), centres at +0.5.

    The latent (i, j) lies at the centre of its `factor` x `factor` pixels; beyond the outermost centres it is repeated.
    """
    size = like([latents.shape[3], latents.shape[2]], positions) * factor
    values = torch.nn.functional.grid_sample(
        latents, (positions / size * 2 - 1)[:, :, None], padding_mode="border", align_corners=False
    )
    return values[..., 0].transpose(1, 2)


def matched_latents(latents: Tensor, positions: Tensor, *, factor: int) -> tuple[Tensor, Tensor]:
    """Latents at the points of B pairs, (B, K, C) of their first images and (B, K, C) of their second ones.

    `latents` (2 B, C, h, w) are those of all first images, then those of all second ones; `positions` (B, K, 2, 2) say
    for every point, in either image, where it lies, as in `latents_at`.
    """
    first, second = latents.chunk(2)
    return (
        latents_at(first, positions[:, :, 0], factor=factor),
        latents_at(second, positions[:, :, 1], factor=factor),
    )


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
