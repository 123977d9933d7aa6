"""Denoisers in closed form: the noise that is expected when latents are Gaussian, or a mixture of Gaussians.

Data N(mu, s^2) per value, x_t = alpha x + sigma e: e_hat = sigma (x_t - alpha mu) / (alpha^2 s^2 + sigma^2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.priors.schedule import NoiseSchedule


@dataclass(frozen=True)
class GaussianDenoiser:
    """Latents are N(mu, spread^2); the condition is mu (B, C, h, w)."""

    schedule: NoiseSchedule
    spread: float = 0.1

    def noise(self, noisy: Tensor, times: Tensor, given: Tensor) -> Tensor:
        alpha, sigma = self.schedule.at(times)
        return sigma * (noisy - alpha * given) / (alpha**2 * self.spread**2 + sigma**2)


@dataclass(frozen=True)
class MixtureDenoiser:
    """Latents are, as a whole and equally likely, near one of the modes (K, C, h, w); there is no condition."""

    schedule: NoiseSchedule
    modes: Tensor
    spread: float = 0.1

    def noise(self, noisy: Tensor, times: Tensor, given: None) -> Tensor:
        alpha, sigma = (values[:, None] for values in self.schedule.at(times))
        variance = alpha**2 * self.spread**2 + sigma**2
        apart = noisy[:, None] - alpha * self.modes[None]
        share = (-apart.square() / (2 * variance)).flatten(2).sum(-1).softmax(dim=1)
        return (share[:, :, None, None, None] * sigma * apart / variance).sum(dim=1)


def cosine(levels: int = 100) -> NoiseSchedule:
    """alpha = cos, sigma = sin of an angle, variance-preserving."""
    angle = (torch.arange(levels) + 0.5) / levels * (torch.pi / 2)
    return NoiseSchedule(angle.cos(), angle.sin())
