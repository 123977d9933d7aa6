from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor

from helpers.analytic_denoiser import GaussianDenoiser, MixtureDenoiser, cosine
from latentfields.errors import ArgumentError
from latentfields.priors.config import DistillationConfig, Objective, Weighting
from latentfields.priors.distillation import (
    Draw,
    delta,
    distilled,
    estimate_gradient,
    invert,
    sds_gradient,
    surrogate,
    weights,
)
from latentfields.priors.schedule import clean_estimate

SHAPE = (4, 3, 4, 4)
LEVELS = 100
DENOISER = GaussianDenoiser(cosine(LEVELS))
PLAIN = DistillationConfig(guidance=1.0, weighting="uniform", highest_at_end=0.4, lowest_at_end=0.02)
MEAN = 0.6 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(7))


def latents() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(8))


def draw(values: Tensor, config: DistillationConfig, *, seed: int = 0, progress: float = 0.5) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    return Draw.random(values, config, levels=LEVELS, progress=progress, generator=generator)


def test_sds_is_the_closed_form() -> None:
    """w (e_hat - e) with e_hat = sigma (alpha (z - mu) + sigma e) / (alpha^2 s^2 + sigma^2)."""
    config = replace(PLAIN, objective="sds")
    z, drawn = latents(), draw(latents(), config)
    alpha, sigma = DENOISER.schedule.at(drawn.times)
    variance = alpha**2 * DENOISER.spread**2 + sigma**2
    expected = sigma * (alpha * (z - MEAN) + sigma * drawn.noise) / variance - drawn.noise
    found = distilled(DENOISER, z, MEAN, MEAN, drawn, config)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_expected_sds_points_from_the_mean() -> None:
    """Over the noise its mean is sigma alpha (z - mu) / (alpha^2 s^2 + sigma^2)."""
    config = replace(PLAIN, objective="sds")
    z = latents()
    times = torch.full((4,), 60)
    generator = torch.Generator().manual_seed(1)
    draws = [Draw(times, torch.randn(SHAPE, generator=generator)) for _ in range(4000)]
    found = torch.stack([distilled(DENOISER, z, MEAN, MEAN, one, config) for one in draws]).mean(0)
    alpha, sigma = DENOISER.schedule.at(times)
    expected = sigma * alpha * (z - MEAN) / (alpha**2 * DENOISER.spread**2 + sigma**2)
    # The noise that is left: its standard deviation is alpha^2 s^2 / variance / sqrt(4000) < 2e-4.
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_the_denoised_estimate_is_sds_of_another_weight() -> None:
    z, drawn = latents(), draw(latents(), PLAIN)
    alpha, sigma = DENOISER.schedule.at(drawn.times)
    noisy = DENOISER.schedule.noised(z, drawn.noise, drawn.times)
    found = DENOISER.noise(noisy, drawn.times, MEAN)
    clean = clean_estimate(found, noisy, alpha=alpha, sigma=sigma)
    first = estimate_gradient(z, clean, torch.ones_like(alpha))
    second = sds_gradient(found, drawn.noise, sigma / alpha)
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(distilled(DENOISER, z, MEAN, MEAN, drawn, PLAIN), first)


@pytest.mark.parametrize("objective", get_args(Objective))
def test_gradients_are_affine_in_the_guidance(objective: Objective) -> None:
    """As long as where x_t comes from does not depend on it; the scale 1 needs no second evaluation."""
    config = replace(PLAIN, objective=objective)
    z, drawn, away = latents(), draw(latents(), config), torch.zeros(SHAPE)

    def at(scale: float) -> Tensor:
        return distilled(DENOISER, z, MEAN, away, drawn, replace(config, guidance=scale))

    torch.testing.assert_close((at(0) + at(8)) / 2, at(4), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(at(1) - at(0), (at(11) - at(1)) / 10, atol=1e-4, rtol=1e-3)
    assert (at(8) - at(1)).abs().max() > 0.1


def test_the_surrogate_has_exactly_the_gradient() -> None:
    z = latents().requires_grad_()
    gradient = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    surrogate(z, gradient).backward()
    assert z.grad is not None
    assert torch.equal(z.grad, gradient)


@pytest.mark.parametrize("kind", get_args(Weighting))
def test_weights(kind: Weighting) -> None:
    alpha, sigma = DENOISER.schedule.alpha, DENOISER.schedule.sigma
    expected = {"uniform": torch.ones_like(alpha), "signal": alpha, "dreamfusion": sigma**2}[kind]
    torch.testing.assert_close(weights(kind, alpha=alpha, sigma=sigma), expected)


@pytest.mark.parametrize("objective", get_args(Objective))
def test_latents_move_to_the_mean(objective: Objective) -> None:
    """Its gradients alone find what the denoiser believes in."""
    config = replace(PLAIN, objective=objective, highest_at_end=0.3)
    z = latents()
    generator = torch.Generator().manual_seed(3)
    start = (z - MEAN).abs().mean()
    for step in range(300):
        drawn = Draw.random(z, config, levels=LEVELS, progress=step / 300, generator=generator)
        z = z - 0.1 * distilled(DENOISER, z, MEAN, MEAN, drawn, config)
    assert (z - MEAN).abs().mean() < 0.1 * start
    assert (z - MEAN).abs().mean() < 2 * DENOISER.spread


def test_distillation_seeks_a_mode() -> None:
    """Between two modes it ends at one of them, the nearer, and not at their mean."""
    modes = torch.stack([torch.full(SHAPE[1:], -1.0), torch.full(SHAPE[1:], 1.0)])
    denoiser = MixtureDenoiser(cosine(LEVELS), modes)
    z = torch.tensor([-0.3, -0.1, 0.1, 0.3])[:, None, None, None].expand(SHAPE).clone()
    config = replace(PLAIN, highest_at_start=0.6, lowest_at_start=0.1)
    generator = torch.Generator().manual_seed(4)
    for step in range(200):
        drawn = Draw.random(z, config, levels=LEVELS, progress=step / 200, generator=generator)
        z = z - 0.1 * distilled(denoiser, z, None, None, drawn, config)
    torch.testing.assert_close(z.mean(dim=(1, 2, 3)).abs(), torch.ones(4), atol=0.1, rtol=0)
    assert z[0].mean() < 0 < z[3].mean()


def test_delta_denoising_is_exactly_zero_where_nothing_is_asked_for() -> None:
    z = latents()
    config = replace(PLAIN, guidance=7.5)
    unchanged = delta(DENOISER, z, z.clone(), MEAN, MEAN.clone(), torch.zeros(SHAPE), draw(z, config), config)
    assert (unchanged == 0).all()


def test_delta_denoising_leads_from_one_mean_to_the_other() -> None:
    """For Gaussians the noise cancels: -w sigma alpha s (mu' - mu) / (alpha^2 s^2 + sigma^2) on the unedited scene."""
    z, config = latents(), replace(PLAIN, guidance=3.0)
    drawn, away = draw(z, config), torch.zeros(SHAPE)
    found = delta(DENOISER, z, z, MEAN + 0.5, MEAN, away, drawn, config)
    alpha, sigma = DENOISER.schedule.at(drawn.times)
    expected = -3.0 * 0.5 * sigma * alpha / (alpha**2 * DENOISER.spread**2 + sigma**2)
    torch.testing.assert_close(found, expected.expand(SHAPE), atol=1e-4, rtol=1e-3)


def test_inversion_finds_the_noise_that_leads_back() -> None:
    """DDIM up in many steps and down in one by the same denoiser returns to latents that it believes in."""
    z = MEAN + 0.1 * latents()
    times = torch.full((4,), 40)
    noisy = invert(DENOISER, z, times, MEAN, MEAN, scale=1.0, steps=40)
    alpha, sigma = DENOISER.schedule.at(times)
    back = clean_estimate(DENOISER.noise(noisy, times, MEAN), noisy, alpha=alpha, sigma=sigma)
    assert (back - MEAN).abs().mean() < (z - MEAN).abs().mean()
    assert (noisy - alpha * MEAN).std() < 2 * float(sigma[0])


def test_levels_sink_and_noise_follows_from_the_seed() -> None:
    config = DistillationConfig()
    assert config.levels(0.0) == (0.5, 0.98)
    assert config.levels(1.0) == pytest.approx((0.3, 0.6))
    one, same, other = (draw(latents(), config, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.noise, same.noise)
    assert torch.equal(one.times, same.times)
    assert not torch.equal(one.noise, other.noise)
    low, high = config.levels(0.5)
    many = draw(torch.zeros(1000, 1, 1, 1), config).times.float() / (LEVELS - 1)
    assert low - 0.01 <= many.min() < low + 0.05
    assert high - 0.05 < many.max() <= high + 0.01


def test_crossed_levels_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"lowest_at_end: is 0.9; expected at most `highest_at_end`, 0.6"):
        DistillationConfig(lowest_at_end=0.9).check()
