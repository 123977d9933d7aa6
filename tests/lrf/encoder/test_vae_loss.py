import pytest
import torch

from latentfields.lrf.encoder.config import DiscriminatorConfig, EncoderWeightsConfig
from latentfields.lrf.encoder.discriminator import (
    PatchDiscriminator,
    adaptive_weight,
    discriminator_loss,
    generator_loss,
)
from latentfields.lrf.encoder.vae_loss import kl_per_value, reconstruction_terms, vae_loss
from latentfields.measures.perceptual import gradient_similarity_loss


def uniform(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def discriminator() -> PatchDiscriminator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return PatchDiscriminator(DiscriminatorConfig(width=8))


def test_reconstruction_terms_are_zero_for_equal_images_only() -> None:
    images, others = uniform(2, 3, 32, 32), uniform(2, 3, 32, 32, seed=1)
    assert [float(t) for t in reconstruction_terms(images, images, perceptual=gradient_similarity_loss)] == [
        pytest.approx(0.0, abs=1e-6)
    ] * 2
    absolute, perceptual = reconstruction_terms(images, others, perceptual=gradient_similarity_loss)
    assert float(absolute) == pytest.approx(float((images - others).abs().mean()))
    assert perceptual > 0
    squared, _ = reconstruction_terms(images, others, perceptual=gradient_similarity_loss, kind="mse")
    assert float(squared) == pytest.approx(float((images - others).square().mean()))


def test_kl_is_divided_by_the_values_of_an_image() -> None:
    mean, log_variance = uniform(2, 4, 3, 3) - 0.5, uniform(2, 4, 3, 3, seed=1) - 0.5
    gaussian = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    divergence = torch.distributions.kl_divergence(gaussian, torch.distributions.Normal(0.0, 1.0))
    expected = divergence.sum() / 2 / (3 * 24 * 24)
    torch.testing.assert_close(kl_per_value(mean, log_variance, torch.zeros(2, 3, 24, 24)), expected)


def test_vae_loss_is_the_weighted_sum() -> None:
    a, b, c, d = (torch.tensor(value) for value in (1.0, 10.0, 100.0, 1000.0))
    assert float(vae_loss(a, b, c, d, EncoderWeightsConfig(perceptual=0.5, kl=0.25))) == 1 + 5 + 25 + 1000


def test_hinge_losses_by_hand() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    # max(0, 1 - real) = 0, 0.5; max(0, 1 + fake) = 0, 1.
    assert float(discriminator_loss(real, fake)) == pytest.approx(0.5 * (0.25 + 0.5))
    assert float(generator_loss(fake)) == pytest.approx(1.5)


def test_the_discriminator_judges_overlapping_patches_of_images_from_24_pixels() -> None:
    assert discriminator()(uniform(2, 3, 24, 24)).shape == (2, 1, 1, 1)
    assert discriminator()(uniform(1, 3, 64, 48)).shape == (1, 1, 6, 4)


def test_the_discriminator_learns_to_tell_two_kinds_of_images_apart() -> None:
    network = discriminator()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    real, fake = uniform(8, 3, 32, 32), 0.5 + 0.1 * uniform(8, 3, 32, 32, seed=1)
    for _ in range(15):
        optimizer.zero_grad()
        loss = discriminator_loss(network(real), network(fake))
        loss.backward()
        optimizer.step()
    assert network(real).mean() > network(fake).mean() + 1
    assert float(loss.detach()) < 0.5


def test_the_adaptive_weight_makes_gradients_equally_long() -> None:
    decoded = uniform(2, 3, 32, 32).requires_grad_()
    reconstruction = (decoded - uniform(2, 3, 32, 32, seed=1)).square().mean()
    generator = generator_loss(discriminator()(decoded))
    weight = adaptive_weight(reconstruction, generator, decoded)
    assert not weight.requires_grad
    lengths = [
        torch.autograd.grad(loss, decoded, retain_graph=True)[0].norm()
        for loss in (reconstruction, weight * generator)
    ]
    torch.testing.assert_close(lengths[0], lengths[1])


def test_the_adaptive_weight_stays_finite_without_a_gradient() -> None:
    decoded = uniform(1, 3, 24, 24).requires_grad_()
    assert float(adaptive_weight(decoded.mean(), 0.0 * decoded.sum(), decoded)) == 1e4
