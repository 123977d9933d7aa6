import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.autoencoders import linear_autoencoder
from latentfields.autoencoders.autoencoder import STATISTICS_FILE, Autoencoder, LatentStatistics
from latentfields.autoencoders.config import PatchAutoencoderConfig
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import InputError

CONFIG = PatchAutoencoderConfig(channels=6, patch=4, widths=(8,), blocks=(1,))


def pictures(count: int = 5, *, size: int = 32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 3, 8, 8, generator=generator)
    return torch.nn.functional.interpolate(noise, size=size, mode="bilinear", align_corners=False)


@pytest.fixture
def made() -> Autoencoder:
    return linear_autoencoder(pictures(), config=CONFIG)


@pytest.fixture
def variational() -> Autoencoder:
    return linear_autoencoder(pictures(), config=replace(CONFIG, variational=True))


def test_normalised_latents_have_unit_statistics(made: Autoencoder) -> None:
    with torch.no_grad():
        latents = made.encode(pictures())
    values = latents.transpose(0, 1).flatten(1)
    torch.testing.assert_close(values.mean(dim=1), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(values.std(dim=1), torch.ones(6), atol=1e-4, rtol=0)


def test_normalisation_is_undone_by_decoding(made: Autoencoder) -> None:
    raw = Autoencoder(made.codec, None, name="raw")
    images = pictures()
    with torch.no_grad():
        assert not torch.allclose(made.encode(images), raw.encode(images))
        torch.testing.assert_close(made.decode(made.encode(images)), raw.decode(raw.encode(images)))


def test_statistics_are_means_and_deviations_per_channel() -> None:
    latents = torch.randn(4, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    latents = latents * torch.tensor([1.0, 2.0, 0.0]).view(1, 3, 1, 1) + torch.tensor([0.0, 5.0, 7.0]).view(
        1, 3, 1, 1
    )
    statistics = LatentStatistics.of(latents)
    expected = latents.double().transpose(0, 1).flatten(1)
    assert statistics.mean == pytest.approx(expected.mean(dim=1).tolist())
    assert statistics.std[:2] == pytest.approx(expected.std(dim=1)[:2].tolist())
    assert statistics.std[2] > 0, "a constant channel must not divide by zero"


def test_batches_are_the_same_as_one_at_a_time(made: Autoencoder) -> None:
    images = pictures()
    with torch.no_grad():
        single = torch.cat([made.encode(images[i : i + 1]) for i in range(5)])
        batched = made.encode_batches(images, batch_size=2)
        torch.testing.assert_close(batched, single, atol=1e-5, rtol=0)
        decoded = torch.cat([made.decode(single[i : i + 1]).clamp(0, 1) for i in range(5)])
        torch.testing.assert_close(made.decode_batches(batched, batch_size=3), decoded, atol=1e-5, rtol=0)
    assert made.measure_statistics(images, batch_size=2).mean == pytest.approx(
        made.measure_statistics(images, batch_size=5).mean, abs=1e-6
    )


def test_decoded_batches_are_images_and_decoding_alone_does_not_clamp(made: Autoencoder) -> None:
    latents = 20 * torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        free = made.decode(latents)
    assert free.min() < 0
    assert free.max() > 1
    clamped = made.decode_batches(latents)
    assert clamped.min() >= 0
    assert clamped.max() <= 1


@pytest.mark.parametrize("color", [(1.0, 1.0, 1.0), (0.1, 0.5, 0.9)])
def test_the_background_latent_is_the_code_of_the_colour(
    made: Autoencoder, color: tuple[float, float, float]
) -> None:
    flat = torch.tensor(color).view(1, 3, 1, 1).expand(1, 3, 40, 40)
    with torch.no_grad():
        code = made.background_latent(color)
        torch.testing.assert_close(code, made.encode(flat)[0, :, 5, 5], atol=1e-5, rtol=0)


def test_the_background_latent_follows_the_encoder(made: Autoencoder) -> None:
    made.background_latent((1.0, 1.0, 1.0)).sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in made.encoder_parameters())
    assert all(p.grad is None for p in made.decoder_parameters())


def test_encoder_and_decoder_parameters_are_all_and_disjoint(made: Autoencoder) -> None:
    encoder, decoder = ({id(p) for p in ps} for ps in (made.encoder_parameters(), made.decoder_parameters()))
    assert not encoder & decoder
    assert encoder | decoder == {id(p) for p in made.parameters()}


def test_the_posterior_is_normalised_with_its_spread(variational: Autoencoder) -> None:
    images = pictures()
    with torch.no_grad():
        mean, log_variance = variational.posterior(images)
        raw_mean, raw_log_variance = variational.codec.encode(images)
    assert log_variance is not None
    assert raw_log_variance is not None
    std = torch.tensor(variational.statistics.std).view(1, -1, 1, 1)
    torch.testing.assert_close((0.5 * log_variance).exp(), (0.5 * raw_log_variance).exp() / std)
    torch.testing.assert_close(variational.encode(images), mean)
    offset = torch.tensor(variational.statistics.mean).view(1, -1, 1, 1)
    torch.testing.assert_close(mean, (raw_mean - offset) / std)


def test_samples_scatter_as_the_posterior_says(variational: Autoencoder) -> None:
    images = pictures(1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        mean, log_variance = variational.posterior(images)
        assert log_variance is not None
        draws = torch.stack([variational.sample(images, generator=generator) for _ in range(500)])
    std = (0.5 * log_variance).exp()
    torch.testing.assert_close(draws.mean(dim=0), mean, atol=0.25 * float(std.max()), rtol=0)
    torch.testing.assert_close(draws.std(dim=0) / std, torch.ones_like(std), atol=0.2, rtol=0)
    seeded = [variational.sample(images, generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*seeded)


def test_a_deterministic_autoencoder_samples_its_mean(made: Autoencoder) -> None:
    assert torch.equal(made.sample(pictures()), made.encode(pictures()))


def test_a_clone_is_independent(made: Autoencoder) -> None:
    images = pictures()
    before = made.encode_batches(images)
    copy = made.clone()
    assert torch.equal(copy.encode_batches(images), before)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.zero_()
    copy.set_statistics(LatentStatistics((1.0,) * 6, (2.0,) * 6))
    assert torch.equal(made.encode_batches(images), before)


def test_sides_must_be_multiples_of_the_factor(made: Autoencoder) -> None:
    with pytest.raises(InputError, match="images: are 32x30; expected multiples of the factor 4"):
        made.encode(torch.rand(1, 3, 30, 32))


def test_save_and_load_give_the_same_latents_images_and_bytes(made: Autoencoder, tmp_path: Path) -> None:
    made.save(tmp_path / "a")
    loaded = load_autoencoder(tmp_path / "a")
    images = pictures()
    assert loaded.statistics == made.statistics
    assert torch.equal(loaded.encode_batches(images), made.encode_batches(images))
    latents = made.encode_batches(images)
    assert torch.equal(loaded.decode_batches(latents), made.decode_batches(latents))
    loaded.save(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    stored = json.loads((tmp_path / "a" / STATISTICS_FILE).read_text())
    assert stored["mean"] == pytest.approx(list(made.statistics.mean))


def test_only_networks_of_this_package_can_be_grown_and_rounded(made: Autoencoder) -> None:
    class Plain(torch.nn.Module):
        channels, factor, variational = 6, 4, False

    plain = Autoencoder(Plain(), made.statistics, name="plain")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="autoencoder: is a Plain; expected one of this package"):
        plain.grown(blocks=(2,), name="large")
    with pytest.raises(InputError, match="autoencoder: is a Plain; expected one of this package"):
        plain.rounded(name="half")


def test_new_channels_have_no_statistics_and_with_them_no_other_has(
    made: Autoencoder, tmp_path: Path
) -> None:
    assert made.grown(channels=made.channels, name="same").statistics == made.statistics
    grown = made.grown(channels=made.channels + 1, name="large")
    assert not grown.has_statistics
    grown.save(tmp_path / "large")
    assert not (tmp_path / "large" / STATISTICS_FILE).exists()
    loaded = load_autoencoder(tmp_path / "large")
    assert loaded.channels == made.channels + 1
    assert not loaded.has_statistics
    loaded.renew_statistics(torch.rand(4, 3, 32, 32))
    assert loaded.has_statistics


def test_a_rounded_autoencoder_keeps_its_statistics_and_its_name_is_the_given_one(made: Autoencoder) -> None:
    rounded = made.rounded(name="half")
    assert rounded.name == "half"
    assert rounded.statistics == made.statistics
