"""Terms of stage I in closed form, and its learning rates."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.autoencoders import small_autoencoder
from helpers.correspondence_data import CONFIG, make_dataset, with_weights
from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.image_data import TrainingImages
from latentfields.correspondences.files import open_dataset
from latentfields.correspondences.losses import latents_at
from latentfields.correspondences.pair_batches import PairImages
from latentfields.lrf.encoder.config import DiscriminatorConfig
from latentfields.lrf.encoder.trainer import EncoderTrainer


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairImages:
    folder = make_dataset(tmp_path_factory.mktemp("pairs"), names=("a",))
    return PairImages(open_dataset(folder), size=32, factor=4)


def wide_autoencoder() -> Autoencoder:
    """A variational one whose latents are far from what they are when normalised."""
    autoencoder = small_autoencoder(variational=True)
    autoencoder.set_statistics(LatentStatistics((1.0, -2.0, 0.5, 3.0), (0.2, 3.0, 0.5, 7.0)))
    return autoencoder


def gaussian_kl(mean: Tensor, variance: Tensor, other_mean: Tensor | float, other: Tensor | float) -> Tensor:
    """KL(N(mean, variance) || N(other_mean, other)), summed over everything but the batch, then its mean."""
    first = torch.distributions.Normal(mean, variance.sqrt())
    second = torch.distributions.Normal(
        torch.as_tensor(other_mean).expand_as(mean), torch.as_tensor(other).sqrt().expand_as(mean)
    )
    return torch.distributions.kl_divergence(first, second).flatten(1).sum(dim=1).mean()


def test_the_prior_is_about_raw_latents_in_nats_per_pixel_value(pairs: PairImages) -> None:
    autoencoder = wide_autoencoder()
    trainer = EncoderTrainer(autoencoder, pairs, CONFIG)
    batch = pairs.batch(0, pairs=2, points=20, seed=0)
    terms = trainer.loss(batch, 0)[1]
    mean, log_variance = autoencoder.codec.encode(batch.images)
    assert log_variance is not None
    expected = gaussian_kl(mean, log_variance.exp(), 0.0, 1.0) / (3 * 32 * 32)
    torch.testing.assert_close(terms["kl"], expected, rtol=1e-4, atol=0)


def test_the_distance_to_the_original_does_not_depend_on_the_statistics(pairs: PairImages) -> None:
    batch = pairs.batch(0, pairs=2, points=20, seed=0)
    original = small_autoencoder(variational=True)
    found = []
    for autoencoder in (small_autoencoder(variational=True), wide_autoencoder()):
        trainer = EncoderTrainer(autoencoder, pairs, CONFIG)
        with torch.no_grad():
            for parameter in autoencoder.parameters():
                parameter.add_(0.01)
        found.append(trainer.loss(batch, 0)[1]["original"].detach())
    (a, log_a), (b, log_b) = (codec.encode(batch.images) for codec in (autoencoder.codec, original.codec))
    assert log_a is not None
    assert log_b is not None
    expected = gaussian_kl(a, log_a.exp(), b, log_b.exp()).detach() / (3 * 32 * 32)
    assert float(expected) > 0
    torch.testing.assert_close(torch.stack(found), expected.expand(2), rtol=1e-3, atol=0)


@pytest.mark.parametrize("weight", [0.5, 2.0])
def test_the_adversarial_gradient_is_its_weight_times_that_of_the_reconstruction(
    pairs: PairImages, weight: float
) -> None:
    """At the decoded images, whatever the scale of the discriminator's scores."""
    config = replace(CONFIG, discriminator=DiscriminatorConfig(start=0, width=4, weight=weight))
    trainer = EncoderTrainer(small_autoencoder(), pairs, config)
    batch = pairs.batch(0, pairs=2, points=20, seed=0)
    loss, terms, decoded = trainer.loss(batch, 0)
    reconstruction = terms["reconstruction"] + config.weights.perceptual * terms["perceptual"]
    lengths = [
        torch.autograd.grad(term, decoded, retain_graph=True)[0].norm()
        for term in (reconstruction, terms["adversarial"])
    ]
    torch.testing.assert_close(lengths[1], weight * lengths[0], rtol=1e-3, atol=0)
    # No weight comes on top of it.
    whole = torch.autograd.grad(loss - reconstruction, decoded)[0].norm()
    torch.testing.assert_close(whole, lengths[1], rtol=1e-3, atol=0)


@pytest.mark.parametrize("final", [0.05, 1.0])
def test_autoencoder_and_discriminator_fall_along_one_cosine(pairs: PairImages, final: float) -> None:
    config = replace(
        CONFIG,
        learning_rate=2e-4,
        final_learning_rate=final,
        discriminator=DiscriminatorConfig(start=0, width=4),
    )
    trainer = EncoderTrainer(small_autoencoder(), pairs, config)
    assert trainer.adversary is not None
    for index, progress in enumerate((0.0, 0.25, 0.5, 1.0)):
        trainer.step(index, progress)
        expected = 2e-4 * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
        for optimizer in (trainer.optimizer, trainer.adversary.optimizer):
            (group,) = optimizer.param_groups
            assert group["lr"] == pytest.approx(expected)
            assert group["betas"] == (0.5, 0.9)


def test_the_exchange_decodes_first_images_from_what_second_ones_say(pairs: PairImages) -> None:
    """By hand, for one pair; and it moves encoder and decoder."""
    config = with_weights(exchange=2.0)
    autoencoder = small_autoencoder()
    centred = PairImages(pairs.scenes, size=40, factor=4, window=24)
    trainer = EncoderTrainer(autoencoder, centred, config)
    batch = centred.batch(0, pairs=1, points=60, seed=4)
    loss, terms, _ = trainer.loss(batch, 0)
    with torch.no_grad():
        first, second = autoencoder.encode(batch.images).split(1)
        for point, position in enumerate(batch.positions[0]):
            column, row = (position[0] / 4).floor().int().tolist()
            if batch.shared[0, point]:
                value = latents_at(second, position[None, None, 1], factor=4)
                first[0, :, row, column] = value[0, 0]
        expected = (autoencoder.decode(first) - batch.images[:1]).abs().mean()
    torch.testing.assert_close(terms["exchange"].detach(), expected)
    loss.backward()
    for part in (autoencoder.encoder_parameters(), autoencoder.decoder_parameters()):
        assert sum(float(p.grad.abs().sum()) for p in part if p.grad is not None) > 0
    torch.testing.assert_close(loss, terms["reconstruction"] + 2 * terms["exchange"])
    assert "exchange" not in EncoderTrainer(small_autoencoder(), pairs, CONFIG).loss(batch, 0)[1]


def test_the_average_follows_the_weights(pairs: PairImages) -> None:
    trainer = EncoderTrainer(small_autoencoder(), pairs, replace(CONFIG, average_decay=0.75))
    expected: list[Tensor] = []
    for step in range(3):
        trainer.step(step, step / 3)
        now = [parameter.detach().clone() for parameter in trainer.autoencoder.parameters()]
        expected = [0.75 * a + 0.25 * b for a, b in zip(expected or now, now, strict=True)]
    for found, value in zip(trainer.result.parameters(), expected, strict=True):
        torch.testing.assert_close(found.detach(), value)
    last = EncoderTrainer(small_autoencoder(), pairs, CONFIG)
    assert last.result is last.autoencoder


def test_half_precision_is_nearly_the_same(pairs: PairImages) -> None:
    batch = pairs.batch(0, pairs=2, points=20, seed=0)
    weights = replace(CONFIG.weights, exchange=1.0)
    exact, half = (
        EncoderTrainer(small_autoencoder(), pairs, replace(CONFIG, weights=weights, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    found = [trainer.loss(batch, 0)[0] for trainer in (exact, half)]
    assert found[1].dtype == torch.float32
    assert 0 < float((found[1] - found[0]).detach().abs()) < 0.03 * float(found[0].detach())


def test_squared_errors_are_measured_where_they_are_asked_for(pairs: PairImages) -> None:
    trainer = EncoderTrainer(small_autoencoder(), pairs, replace(CONFIG, reconstruction="mse"))
    batch = pairs.batch(0, pairs=2, points=20, seed=0)
    _, terms, decoded = trainer.loss(batch, 0)
    torch.testing.assert_close(terms["reconstruction"], (decoded - batch.images).square().mean())


def test_photographs_are_cut_to_windows(pairs: PairImages) -> None:
    """Somewhere: a picture whose columns say where they are."""
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[None, :, None], (32, 32, 3))
    photos = TrainingImages(photos=(ramp,), renders=None, size=32)
    windows = PairImages(pairs.scenes, size=32, factor=4, window=16)
    trainer = EncoderTrainer(
        small_autoencoder(), windows, replace(CONFIG, window=16, photos_per_batch=9), photos=photos
    )
    cut = (trainer._batch(0).images[4:, 0] * 255).round()
    assert cut.shape == (9, 16, 16)
    assert (cut.diff(dim=2).abs() == 1).all()
    assert len(cut[:, 0, 0].unique()) > 3


def test_photographs_change_from_step_to_step_until_all_were_seen(pairs: PairImages) -> None:
    shades = tuple(np.full((40, 36, 3), 20 * shade, dtype=np.uint8) for shade in range(5))
    photos = TrainingImages(photos=shades, renders=None, size=32)
    config = replace(CONFIG, photos_per_batch=2)
    trainer = EncoderTrainer(small_autoencoder(), pairs, config, photos=photos)
    batches = [trainer._batch(index).images[4:] for index in range(25)]
    assert all(batch.shape == (2, 3, 32, 32) for batch in batches)
    seen = (torch.cat(batches)[:, 0, 0, 0] * 255 / 20).round().int()
    assert seen.unique().tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(trainer._batch(7).images[4:], batches[7])
