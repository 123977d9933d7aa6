from __future__ import annotations

from typing import get_args

import diffusers
import pytest
import torch

from helpers.analytic_denoiser import cosine
from latentfields.priors.config import Parameterisation
from latentfields.priors.schedule import NoiseSchedule, clean_estimate, predicted_noise, target

GENERATOR = torch.Generator().manual_seed(0)
LATENTS, NOISE = torch.randn(2, 5, 3, 4, 4, generator=GENERATOR)
TIMES = torch.tensor([3, 20, 50, 80, 97])


def schedule_of(kind: Parameterisation) -> NoiseSchedule:
    return NoiseSchedule.flow(torch.linspace(0.01, 0.99, 100)) if kind == "flow" else cosine()


@pytest.mark.parametrize("kind", get_args(Parameterisation))
def test_exact_predictions_give_back_noise_and_latents(kind: Parameterisation) -> None:
    schedule = schedule_of(kind)
    alpha, sigma = schedule.at(TIMES)
    noisy = schedule.noised(LATENTS, NOISE, TIMES)
    prediction = target(kind, LATENTS, NOISE, alpha=alpha, sigma=sigma)
    found = predicted_noise(kind, prediction, noisy, alpha=alpha, sigma=sigma)
    torch.testing.assert_close(found, NOISE, atol=1e-5, rtol=1e-5)
    clean = clean_estimate(found, noisy, alpha=alpha, sigma=sigma)
    torch.testing.assert_close(clean, LATENTS, atol=1e-4, rtol=1e-4)


def test_levels_are_those_of_diffusers() -> None:
    scheduler = diffusers.DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")  # type: ignore[no-untyped-call]
    mine = NoiseSchedule.variance_preserving(scheduler.alphas_cumprod)  # type: ignore[attr-defined]
    theirs = scheduler.add_noise(LATENTS, NOISE, TIMES)  # type: ignore[attr-defined]
    torch.testing.assert_close(mine.noised(LATENTS, NOISE, TIMES), theirs)
    velocity = scheduler.get_velocity(LATENTS, NOISE, TIMES)  # type: ignore[attr-defined]
    alpha, sigma = mine.at(TIMES)
    torch.testing.assert_close(target("v", LATENTS, NOISE, alpha=alpha, sigma=sigma), velocity)


def test_kinds_of_schedules_keep_their_sums() -> None:
    preserving = NoiseSchedule.variance_preserving(torch.linspace(0.999, 1e-4, 50))
    torch.testing.assert_close(preserving.alpha**2 + preserving.sigma**2, torch.ones(50))
    flow = NoiseSchedule.flow(torch.linspace(0, 1, 50))
    torch.testing.assert_close(flow.alpha + flow.sigma, torch.ones(50))
    assert len(flow) == 50
