from __future__ import annotations

import torch

from helpers.analytic_denoiser import GaussianDenoiser, cosine
from latentfields.priors.sampling import ddim_step, guided, guided_noise, sample

SHAPE = (4, 3, 4, 4)


def test_guidance_counts_from_no_conditions() -> None:
    """0 ignores the conditions, 1 follows them, and the result is linear in the scale."""
    conditional, unconditional = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(guided(conditional, unconditional, 0), unconditional)
    torch.testing.assert_close(guided(conditional, unconditional, 1), conditional)
    middle = (guided(conditional, unconditional, 3) + guided(conditional, unconditional, 9)) / 2
    torch.testing.assert_close(guided(conditional, unconditional, 6), middle)


def test_guidance_of_gaussians_moves_their_mean() -> None:
    """Of equally wide Gaussians the guided noise is that of one whose mean is guided."""
    denoiser = GaussianDenoiser(cosine())
    noisy = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    times = torch.tensor([10, 40, 70, 95])
    to, away = torch.full(SHAPE, 0.7), torch.full(SHAPE, -0.2)
    found = guided_noise(denoiser, noisy, times, to, away, scale=4)
    moved = denoiser.noise(noisy, times, away + 4 * (to - away))
    torch.testing.assert_close(found, moved, atol=1e-5, rtol=1e-5)


def test_samples_are_distributed_as_the_data() -> None:
    denoiser = GaussianDenoiser(cosine(1000), spread=0.3)
    noise = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    mean = torch.full_like(noise, 0.8)
    drawn = sample(denoiser, mean, mean, noise=noise, steps=100)
    assert abs(drawn.mean() - 0.8) < 0.02
    assert abs(drawn.std() - 0.3) < 0.03
    again = sample(denoiser, mean, mean, noise=noise, steps=100)
    assert torch.equal(drawn, again)


def test_ddim_goes_there_and_back() -> None:
    schedule = cosine()
    latents, noise = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(3))
    low, high = torch.full((4,), 5), torch.full((4,), 90)
    noisy = schedule.noised(latents, noise, low)
    there = ddim_step(noisy, noise, schedule, low, high)
    torch.testing.assert_close(there, schedule.noised(latents, noise, high), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ddim_step(there, noise, schedule, high, None), latents, atol=1e-4, rtol=1e-4)
