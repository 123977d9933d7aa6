"""Losses of autoencoders that more than one training uses: reconstruction, perceptual distance, KL, draws and noise.

Shape suffixes: B images, C latent channels, H, W image size, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from latentfields.autoencoders.config import Perceptual
from latentfields.devices import upload
from latentfields.errors import InputError
from latentfields.measures.perceptual import Unavailable, gradient_similarity_loss, load_lpips

PerceptualLoss = Callable[[Tensor, Tensor], Tensor]
"""Distances (B,) of two batches of images (B, 3, H, W)."""


def reconstruction_loss(images: Tensor, targets: Tensor, *, kind: Literal["mse", "l1"]) -> Tensor:
    """Mean squared or absolute error."""
    difference = images - targets
    return difference.square().mean() if kind == "mse" else difference.abs().mean()


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of diagonal Gaussians (B, C, h, w) to the standard normal, in nats, averaged over the batch."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(1).mean()


def sampled(mean: Tensor, log_variance: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """A draw (B, C, h, w) from diagonal Gaussians; noise is drawn on the CPU, whatever device they are on."""
    noise = upload(torch.randn(mean.shape, generator=generator, dtype=mean.dtype), mean.device)
    return mean + noise * (0.5 * log_variance).exp()


def perceptual_loss(kind: Perceptual, device: torch.device) -> PerceptualLoss:
    """The distance of that name. Raises InputError when LPIPS is asked for and cannot be had."""
    if kind == "gradient-similarity":
        return gradient_similarity_loss
    distance = load_lpips("vgg" if kind == "lpips-vgg" else "alex", device=device)
    if isinstance(distance, Unavailable):
        raise InputError(
            "perceptual", f"{kind} cannot be used because {distance.reason}; use gradient-similarity instead"
        )
    return distance


def latent_noise(shape: tuple[int, int, int, int], *, strongest: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of `shape` (B, C, h, w), on the CPU: for every image a deviation of its own, 0 to `strongest`.

    Ours, beyond the papers. What asks latents to agree between views is satisfied soonest where detail is coded in
    amplitudes so small that its disagreement hardly counts; a decoder amplifies them again, and with them every error
    of a field. Variational autoencoders are kept from that by the width of their posterior. This is the same for
    deterministic ones. Uniformly spread strengths let a decoder stay sharp where latents are exact.
    """
    strength = strongest * torch.rand(shape[0], 1, 1, 1, generator=generator)
    return strength * torch.randn(shape, generator=generator)


def with_latent_noise(latents: Tensor, *, strongest: float, generator: torch.Generator) -> Tensor:
    """Latents (B, C, h, w), on any device, with `latent_noise`; nothing is drawn where it would be 0."""
    if not strongest:
        return latents
    batch, channels, height, width = latents.shape
    noise = latent_noise((batch, channels, height, width), strongest=strongest, generator=generator)
    return latents + upload(noise, latents.device).to(latents.dtype)
