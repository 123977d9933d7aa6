"""Guidance, and drawing latents from a denoiser by diffusers' DDIM.

Shape suffixes: B views, C latent channels, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from latentfields.priors.schedule import NoiseSchedule, clean_estimate

Given = TypeVar("Given", contravariant=True)


class Denoiser(Protocol[Given]):
    """Something that tells noise from latents, under conditions of a type of its own."""

    @property
    def schedule(self) -> NoiseSchedule:
        """Its levels of noise."""
        ...

    def noise(self, noisy: Tensor, times: Tensor, given: Given, /) -> Tensor:
        """The noise, (B, C, h, w), in noisy latents (B, C, h, w) at levels (B,) int64. No gradient flows through."""
        ...


G = TypeVar("G")


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho and Salimans 2022): e_0 + s (e_c - e_0) of noise under the conditions and without.

    A scale s of 0 ignores the conditions, 1 follows them, more exaggerates them. Imagen, Stable Diffusion and diffusers
    count so; the paper's w, and threestudio's scale, are s - 1.
    """
    return unconditional + scale * (conditional - unconditional)


def guided_noise(
    denoiser: Denoiser[G], noisy: Tensor, times: Tensor, given: G, against: G, *, scale: float
) -> Tensor:
    """The noise in `noisy` (B, C, h, w) under the conditions `given`, led away from `against` as `guided` says."""
    conditional = denoiser.noise(noisy, times, given)
    if scale == 1:
        return conditional
    return guided(conditional, denoiser.noise(noisy, times, against), scale)


def ddim_step(
    noisy: Tensor, noise: Tensor, schedule: NoiseSchedule, times: Tensor, next_times: Tensor | None
) -> Tensor:
    """DDIM (Song et al. 2021, Eq. 12 with eta 0): from levels (B,) to others, either way; None is without noise."""
    alpha, sigma = schedule.at(times)
    clean = clean_estimate(noise, noisy, alpha=alpha, sigma=sigma)
    return clean if next_times is None else schedule.noised(clean, noise, next_times)


@torch.no_grad()
def sample(
    denoiser: Denoiser[G],
    given: G,
    against: G,
    *,
    noise: Tensor,
    scale: float = 1.0,
    steps: int = 40,
    progress: Callable[[], object] = lambda: None,
) -> Tensor:
    """Draw latents from `noise` (B, C, h, w), which they follow from, in so many steps of DDIM."""
    schedule = denoiser.schedule.to(noise.device)
    levels = torch.linspace(len(schedule) - 1, 0, steps).round().long().tolist()
    latents = noise
    for level, following in zip(levels, [*levels[1:], None], strict=True):
        times = torch.full((len(noise),), level, device=noise.device)
        after = None if following is None else torch.full_like(times, following)
        found = guided_noise(denoiser, latents, times, given, against, scale=scale)
        latents = ddim_step(latents, found, schedule, times, after)
        progress()
    return latents
