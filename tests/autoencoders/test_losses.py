import pytest
import torch

from latentfields.autoencoders.losses import latent_noise, with_latent_noise


def test_strengths_are_spread_from_none_to_the_strongest() -> None:
    noise = latent_noise((72, 8, 16, 16), strongest=0.4, generator=torch.Generator().manual_seed(0))
    deviations = noise.flatten(1).std(1)
    assert deviations.max() < 0.41
    assert deviations.mean() == pytest.approx(0.2, abs=0.05)
    assert deviations.min() < 0.05
    assert noise.mean() == pytest.approx(0.0, abs=0.01)


def test_images_and_channels_are_independent() -> None:
    noise = latent_noise((4, 8, 16, 16), strongest=0.4, generator=torch.Generator().manual_seed(0))
    assert (torch.corrcoef(noise.view(32, -1)) - torch.eye(32)).abs().max() < 0.3


def test_latents_are_as_they_were_and_nothing_is_drawn_without_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    before, latents = generator.get_state(), torch.ones(2, 3, 4, 4)
    assert torch.equal(with_latent_noise(latents, strongest=0.0, generator=generator), latents)
    assert torch.equal(generator.get_state(), before)
    noise = latent_noise((2, 3, 4, 4), strongest=0.4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(with_latent_noise(latents, strongest=0.4, generator=generator), latents + noise)
