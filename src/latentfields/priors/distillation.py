"""Score distillation: gradients for rendered latents from a 2D denoiser, as typed equations.

z are latents (B, C, h, w) that a scene renders, x_t = alpha_t z + sigma_t e their noised form, e_hat the guided noise
of `sampling.guided`. A gradient enters a scene through `surrogate`; none reaches the denoiser, whose outputs are
constants.

Shape suffixes: B views, C latent channels, h, w latent size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from latentfields.devices import upload
from latentfields.priors.config import ScoreConfig, Weighting
from latentfields.priors.sampling import Denoiser, ddim_step, guided_noise
from latentfields.priors.schedule import clean_estimate

G = TypeVar("G")


def sds_gradient(found: Tensor, noise: Tensor, weight: Tensor) -> Tensor:
    """Score distillation sampling (DreamFusion, Eq. 3): w(t) (e_hat - e), the gradient for z.

    The factor alpha_t of the chain rule is part of w(t), as in the papers.
    """
    return weight * (found - noise)


def estimate_gradient(latents: Tensor, clean: Tensor, weight: Tensor) -> Tensor:
    """The denoised-estimate form: w(t) (z - x_hat) with x_hat = (x_t - sigma_t e_hat) / alpha_t, the gradient for z.

    It equals SDS with the weight w(t) sigma_t / alpha_t: z - x_hat = (e_hat - e) sigma_t / alpha_t. The objective is
    w(t) |z - x_hat|^2 / 2, so that it pulls renderings towards pictures, and its size does not depend on the level.
    """
    return weight * (latents - clean)


def dds_gradient(edited: Tensor, source: Tensor, weight: Tensor) -> Tensor:
    """Delta denoising score (Hertz et al. 2023, Eq. 3): w(t) (e_hat(x_t, to) - e_hat(y_t, from)), the gradient for z.

    Both are noised by the same e at the same level: y_t is the scene before the edit. Exactly zero where nothing was
    changed and nothing is asked for.
    """
    return weight * (edited - source)


def surrogate(latents: Tensor, gradient: Tensor) -> Tensor:
    """A loss, a scalar, whose gradient for `latents` is `gradient` exactly; its value means nothing."""
    return (latents * gradient.detach()).sum()


def weights(kind: Weighting, *, alpha: Tensor, sigma: Tensor) -> Tensor:
    """w(t), as `alpha` and `sigma` of any shape: 1 (uniform), alpha (signal) or sigma^2 (dreamfusion)."""
    if kind == "uniform":
        return torch.ones_like(alpha)
    return alpha if kind == "signal" else sigma.square()


def invert(
    denoiser: Denoiser[G],
    latents: Tensor,
    times: Tensor,
    given: G,
    against: G,
    *,
    scale: float,
    steps: int,
) -> Tensor:
    """x_t of latents by DDIM inversion (SDI, Lukoianov et al. 2024, Sec. 5): `steps` deterministic steps up to `times`.

    SDI takes a negative scale: what the conditions would add is taken away, so that denoising adds it.
    """
    schedule = denoiser.schedule.to(latents.device)
    level = torch.zeros_like(times)
    noisy = schedule.noised(latents, torch.zeros_like(latents), level)
    for step in range(1, steps + 1):
        following = (times * step) // steps
        found = guided_noise(denoiser, noisy, level, given, against, scale=scale)
        noisy, level = ddim_step(noisy, found, schedule, level, following), following
    return noisy


@dataclass(frozen=True)
class Draw:
    """Levels of noise, and noise, of the views of a step."""

    times: Tensor
    """(B,) int64 levels."""
    noise: Tensor
    """(B, C, h, w) normal."""

    @classmethod
    def random(
        cls,
        latents: Tensor,
        config: ScoreConfig,
        *,
        levels: int,
        progress: float,
        generator: torch.Generator,
    ) -> Draw:
        """For latents (B, C, h, w) at `progress` in [0, 1]; drawn on the CPU, whatever the device."""
        low, high = config.levels(progress)
        shares = low + (high - low) * torch.rand(len(latents), generator=generator)
        times = (shares * (levels - 1)).round().long()
        noise = torch.randn(latents.shape, generator=generator)
        return cls(upload(times, latents.device), upload(noise, latents.device))


@torch.no_grad()
def distilled(
    denoiser: Denoiser[G], latents: Tensor, given: G, against: G, draw: Draw, config: ScoreConfig
) -> Tensor:
    """The gradient (B, C, h, w) for rendered latents (B, C, h, w), by the configured objective.

    `given` are the conditions of the views, `against` what guidance leads away from.
    """
    schedule = denoiser.schedule.to(latents.device)
    alpha, sigma = schedule.at(draw.times)
    weight = weights(config.weighting, alpha=alpha, sigma=sigma)
    if config.objective == "sdi":
        scale, steps = config.inversion_guidance, config.inversion_steps
        noisy = invert(denoiser, latents, draw.times, given, against, scale=scale, steps=steps)
    else:
        noisy = schedule.noised(latents, draw.noise, draw.times)
    found = guided_noise(denoiser, noisy, draw.times, given, against, scale=config.guidance)
    if config.objective == "sds":
        return sds_gradient(found, draw.noise, weight)
    return estimate_gradient(latents, clean_estimate(found, noisy, alpha=alpha, sigma=sigma), weight)


@torch.no_grad()
def delta(
    denoiser: Denoiser[G],
    latents: Tensor,
    source: Tensor,
    to: G,
    origin: G,
    against: G,
    draw: Draw,
    config: ScoreConfig,
) -> Tensor:
    """The gradient (B, C, h, w) of delta denoising for latents of the edited scene; `source` are the scene's before.

    `to` are the conditions of what is wanted, `origin` those of what was there. The objective of `config` is not used.
    """
    schedule = denoiser.schedule.to(latents.device)
    alpha, sigma = schedule.at(draw.times)
    found = [
        guided_noise(
            denoiser,
            schedule.noised(values, draw.noise, draw.times),
            draw.times,
            given,
            against,
            scale=config.guidance,
        )
        for values, given in ((latents, to), (source, origin))
    ]
    return dds_gradient(found[0], found[1], weights(config.weighting, alpha=alpha, sigma=sigma))
