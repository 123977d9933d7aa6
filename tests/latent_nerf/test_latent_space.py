from dataclasses import replace

import pytest
import torch

from helpers.autoencoders import small_autoencoder
from helpers.tiny import TINY_FIT, TINY_GAUSSIANS
from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.errors import ArgumentError
from latentfields.fields.triplane import TriPlane
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.fit import _prepared
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.latent_space import ExtentNormalizer, TanhNormalizer
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.scenes.scene import Scene

TANH = replace(TINY_FIT, normalizer="tanh", subpixels=1)


def test_raw_latents_are_squashed_as_in_the_released_code(scene: Scene, autoencoder: Autoencoder) -> None:
    images = scene.images(torch.tensor([0, 1]))
    raw, _ = autoencoder.codec.encode(images)
    squashed = TanhNormalizer().normalize(autoencoder.encode(images), autoencoder)
    torch.testing.assert_close(squashed, (torch.tanh(0.02 * raw) + 1) / 2)


def test_what_was_squashed_comes_back(scene: Scene, autoencoder: Autoencoder) -> None:
    latents = autoencoder.encode(scene.images(torch.tensor([0, 1])))
    normalizer = TanhNormalizer()
    back = normalizer.denormalize(normalizer.normalize(latents, autoencoder), autoencoder)
    torch.testing.assert_close(back, latents, atol=1e-3, rtol=1e-3)
    wild = torch.tensor([-5.0, 0.0, 1.0, 7.0]).view(1, 1, 2, 2).expand(1, 8, 2, 2)
    assert normalizer.denormalize(wild, autoencoder).isfinite().all()


def test_squashed_values_come_back_with_the_mean_and_spread_of_every_channel() -> None:
    autoencoder = small_autoencoder()
    mean, std = torch.tensor([1.0, -2.0, 3.0, -4.0]), torch.tensor([0.5, 1.0, 2.0, 4.0])
    autoencoder.set_statistics(LatentStatistics(tuple(mean.tolist()), tuple(std.tolist())))
    raw = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(0)) * 3
    latents = (raw - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    normalizer = TanhNormalizer()
    squashed = (torch.tanh(0.02 * raw) + 1) / 2
    torch.testing.assert_close(normalizer.normalize(latents, autoencoder), squashed)
    torch.testing.assert_close(normalizer.denormalize(squashed, autoencoder), latents, rtol=1e-4, atol=1e-4)


def test_the_field_is_fitted_to_squashed_latents_and_shows_latents(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    model, plain = (new_model(scene, autoencoder, c) for c in (TANH, replace(TANH, normalizer="standard")))
    images = scene.images(torch.tensor([0]))
    targets = model.space.targets([images])
    assert 0 < targets.min() < targets.max() < 1
    torch.testing.assert_close(
        model.space.latents(targets), plain.space.targets([images]), atol=1e-3, rtol=1e-3
    )
    torch.testing.assert_close(
        model.decode(targets), autoencoder.decode(plain.space.targets([images])), atol=1e-3, rtol=0
    )
    assert model.field.head.head == "sigmoid"  # type: ignore[union-attr]
    assert plain.field.head.head == "linear"  # type: ignore[union-attr]


def test_nothing_in_view_is_the_background_in_both_spaces(scene: Scene, autoencoder: Autoencoder) -> None:
    shown = []
    for config in (TANH, replace(TANH, normalizer="standard")):
        model = new_model(scene, autoencoder, config)
        model.sampler.grid.density.zero_()  # type: ignore[union-attr, operator]
        shown.append(model.render(scene.cameras[:1])[1].features)
    torch.testing.assert_close(shown[0], shown[1], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("subpixels", [1, 2])
def test_gradients_of_the_decoded_image_reach_the_field(
    scene: Scene, autoencoder: Autoencoder, subpixels: int
) -> None:
    model = new_model(scene, autoencoder, replace(TANH, subpixels=subpixels))
    seen = model.render_features(scene.cameras[:1])
    (model.decode(seen.features) - scene.images(torch.tensor([0]))).square().mean().backward()
    assert isinstance(model, LatentNerf)
    assert isinstance(model.field, TriPlane)
    gradient = model.field.planes.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


EXTENT = replace(TINY_FIT, statistics="scene-min-max", subpixels=1)


def test_a_scenes_least_and_largest_latents_are_0_and_1(scene: Scene, autoencoder: Autoencoder) -> None:
    """As the code released with LRF has them: of all training views, per channel."""
    prepared, own = _prepared(scene, autoencoder, EXTENT, torch.device("cpu"))
    assert own is not None
    images = prepared.images(prepared.indices("train"))
    targets = new_model(prepared, own, EXTENT).space.targets([images])
    raw, _ = own.codec.encode(images)
    low, high = raw.amin(dim=(0, 2, 3), keepdim=True), raw.amax(dim=(0, 2, 3), keepdim=True)
    torch.testing.assert_close(targets, (raw - low) / (high - low), atol=1e-4, rtol=1e-4)
    # Files hold the statistics: what is read again is in the same units.
    assert own.statistics != autoencoder.statistics


def test_latents_of_one_extent_come_back(scene: Scene, autoencoder: Autoencoder) -> None:
    latents = autoencoder.encode(scene.images(torch.tensor([0, 1])))
    normalizer = ExtentNormalizer()
    back = normalizer.denormalize(normalizer.normalize(latents, autoencoder), autoencoder)
    torch.testing.assert_close(back, latents, atol=1e-5, rtol=1e-5)


def test_fields_of_one_extent_end_in_0_and_1_as_colours_do(scene: Scene, autoencoder: Autoencoder) -> None:
    model = new_model(scene, autoencoder, EXTENT)
    assert model.field.head.head == "sigmoid"  # type: ignore[union-attr]
    splatted = new_model(scene, autoencoder, replace(TINY_GAUSSIANS, statistics="scene-min-max", subpixels=1))
    assert isinstance(splatted, LatentGaussians)
    assert (splatted.field.head, splatted.value_range) == ("sigmoid", 1.0)


def test_one_scale_is_enough() -> None:
    with pytest.raises(ArgumentError, match=r"^statistics: is scene-min-max with `normalizer` tanh"):
        replace(EXTENT, normalizer="tanh").check()
    EXTENT.check()


def _latents(trainer: LatentNerfTrainer) -> torch.Tensor:
    assert trainer.latents is not None
    return trainer.latents


def test_fields_can_be_fitted_to_draws_from_the_posterior(scene: Scene) -> None:
    autoencoder = small_autoencoder(variational=True)
    config = replace(TINY_FIT, subpixels=1)

    def targets(**changes: object) -> torch.Tensor:
        chosen = replace(config, **changes)  # type: ignore[arg-type]
        return _latents(LatentNerfTrainer(new_model(scene, autoencoder, chosen), scene, chosen))

    mean, drawn = targets(), targets(latents="sample")
    assert not torch.equal(mean, drawn)
    assert torch.equal(drawn, targets(latents="sample"))
    assert not torch.equal(drawn, targets(latents="sample", seed=1))
    with torch.no_grad():
        _, log_variance = autoencoder.posterior(scene.images(scene.indices("train")))
    assert log_variance is not None
    deviation = ((drawn - mean) / (0.5 * log_variance).exp()).std()
    assert float(deviation) == pytest.approx(1, abs=0.1)
