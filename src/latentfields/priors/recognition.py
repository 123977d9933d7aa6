"""The class of an object by a prior: the one under which its views are denoised best.

A conditional denoiser is a classifier (Li et al., "Your Diffusion Model is Secretly a Zero-Shot Classifier", 2023):
noise is added to the views, and the class that is told lowers the error of its prediction most where it is right.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.priors.conditions import condition
from latentfields.priors.prior import LatentPrior

_LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Levels of noise, as shares of all, at which classes are told apart: below, views say more than their class does."""
_DRAWS = 2
"""Draws of noise at each level, the same ones for all classes."""
_CLEARLY = 0.99
"""Share of the error of the untold prior that the error under a class stays below where it is recognised."""


def recognised(
    prior: LatentPrior, views: Tensor, directions: Tensor, *, generator: torch.Generator
) -> str | None:
    """Return the class that views (V, C, h, w) from `directions` (V, 3) show; None where the prior knows none like it.

    Views are latents, normalised per channel, on the CPU, as are the directions, unit vectors towards the cameras.
    """
    if not prior.config.classes:
        return None
    errors = denoising_errors(prior, views, directions, generator=generator)
    best = int(errors[1:].argmin())
    return prior.config.classes[best] if errors[1 + best] < _CLEARLY * errors[0] else None


@torch.no_grad()
def denoising_errors(
    prior: LatentPrior, views: Tensor, directions: Tensor, *, generator: torch.Generator
) -> Tensor:
    """Return the mean squared errors (1 + classes,) of the prior's noise in the views: untold, and told each class."""
    latents = views.to(prior.device)
    asked = [
        condition(directions, shape=views.shape, class_index=told).to(prior.device)
        for told in (None, *range(len(prior.config.classes)))
    ]
    errors = torch.zeros(len(asked))
    for level in _LEVELS:
        times = torch.full((len(views),), int(level * prior.config.timesteps), device=prior.device)
        for _ in range(_DRAWS):
            noise = torch.randn(views.shape, generator=generator).to(prior.device)
            noisy = prior.schedule.noised(latents, noise, times)
            for index, given in enumerate(asked):
                errors[index] += (prior.noise(noisy, times, given) - noise).square().mean().cpu()
    return errors / (len(_LEVELS) * _DRAWS)
