"""Levels of noise, and what the three kinds of predictions say of clean latents and noise.

x_t = alpha_t x + sigma_t e with e ~ N(0, I). Shape suffixes: T levels, B views, C latent channels, h, w latent size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.priors.config import Parameterisation


@dataclass(frozen=True)
class NoiseSchedule:
    """alpha_t and sigma_t of levels 0 (least noise) to T - 1."""

    alpha: Tensor
    """(T,) float32, what is left of the latents."""
    sigma: Tensor
    """(T,) float32 standard deviations of the noise."""

    @classmethod
    def variance_preserving(cls, alphas_cumprod: Tensor) -> NoiseSchedule:
        """alpha_t^2 + sigma_t^2 = 1, of diffusers' `alphas_cumprod` (T,), which are alpha_t^2."""
        kept = alphas_cumprod.double()
        return cls(kept.sqrt().float(), (1 - kept).sqrt().float())

    @classmethod
    def flow(cls, sigmas: Tensor) -> NoiseSchedule:
        """alpha_t + sigma_t = 1, of sigma_t (T,) in ascending order."""
        return cls((1 - sigmas.double()).float(), sigmas.float())

    def __len__(self) -> int:
        return len(self.alpha)

    def to(self, device: torch.device) -> NoiseSchedule:
        """The same levels on another device."""
        return NoiseSchedule(self.alpha.to(device), self.sigma.to(device))

    def at(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma, (B, 1, 1, 1), of levels (B,) int64."""
        return self.alpha[times][:, None, None, None], self.sigma[times][:, None, None, None]

    def noised(self, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
        """x_t = alpha_t x + sigma_t e of latents and noise (B, C, h, w)."""
        alpha, sigma = self.at(times)
        return alpha * latents + sigma * noise


def target(kind: Parameterisation, latents: Tensor, noise: Tensor, *, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What a denoiser of this kind is trained to predict of latents and noise (B, C, h, w)."""
    if kind == "epsilon":
        return noise
    return alpha * noise - sigma * latents if kind == "v" else noise - latents


def predicted_noise(
    kind: Parameterisation, prediction: Tensor, noisy: Tensor, *, alpha: Tensor, sigma: Tensor
) -> Tensor:
    """The noise, (B, C, h, w), that a prediction says is in `noisy`: e, or alpha v + sigma x_t, or x_t + alpha u."""
    if kind == "epsilon":
        return prediction
    return alpha * prediction + sigma * noisy if kind == "v" else noisy + alpha * prediction


def clean_estimate(noise: Tensor, noisy: Tensor, *, alpha: Tensor, sigma: Tensor) -> Tensor:
    """The latents x = (x_t - sigma_t e) / alpha_t that are left of `noisy` without `noise`, (B, C, h, w)."""
    return (noisy - sigma * noise) / alpha
