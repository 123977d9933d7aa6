"""What the packaged weights promise on their model cards, on objects that they were not trained on."""

import numpy as np
import pytest
import torch

from latentfields.autoencoders.awareness import score_awareness
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.score import generated_scenes
from latentfields.measures.metrics import psnr
from latentfields.priors.conditions import camera_directions, condition
from latentfields.priors.prior import load_prior, packaged_priors
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import framed, object_cameras
from latentfields.scenes.objects.rendering import MeshRenderer
from latentfields.scenes.procedural import TRAIN_FAMILIES, generate_object
from latentfields.scenes.resampling import composited
from latentfields.scenes.scene import Scene

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scenes() -> tuple[Scene, ...]:
    return generated_scenes(objects=1, views=24, size=128)


@pytest.mark.parametrize(
    ("name", "bound"),
    [
        ("base", 30.0),
        ("base-f2", 38.0),
        ("base-f4", 31.0),
        ("igae", 29.5),
        ("igae-f4", 31.0),
        ("igae-smooth", 27.0),
    ],
)
def test_unseen_objects_are_reconstructed(scenes: tuple[Scene, ...], name: str, bound: float) -> None:
    autoencoder = load_autoencoder(name)
    images = torch.cat([scene.images(torch.arange(0, len(scene), 2)) for scene in scenes])
    decoded = autoencoder.decode_batches(autoencoder.encode_batches(images))
    assert float(psnr(decoded.clamp(0, 1), images).mean()) > bound


@pytest.mark.parametrize("name", ["base", "base-f2", "base-f4", "igae", "igae-f4", "igae-smooth"])
def test_latents_are_normalised(scenes: tuple[Scene, ...], name: str) -> None:
    autoencoder = load_autoencoder(name)
    assert autoencoder.has_statistics
    latents = autoencoder.encode_batches(scenes[0].images(torch.arange(0, len(scenes[0]), 2)))
    assert 0.2 < float(latents.std()) < 2


def test_views_agree_better_in_the_space_of_the_3d_aware_one_and_errors_cost_less(
    scenes: tuple[Scene, ...],
) -> None:
    plain, aware = (score_awareness(load_autoencoder(name), scenes[:2]) for name in ("base", "igae"))
    assert aware.latents.inconsistency < 0.75 * plain.latents.inconsistency
    assert aware.noise_psnr > plain.noise_psnr + 2


def test_the_prior_is_small_and_of_the_packaged_space() -> None:
    prior = load_prior("objects")
    assert sum(file.stat().st_size for file in packaged_priors()["objects"].iterdir()) < 8e6
    assert prior.load_autoencoder().name == "igae-smooth"
    assert prior.config.classes == tuple(sorted(TRAIN_FAMILIES))


def test_the_prior_knows_classes_and_what_a_reference_shows() -> None:
    """On views of objects that it was not trained on, what it is told lessens its error."""
    prior = load_prior("objects")
    options = RenderConfig(
        views=12, size=128, samples=1, val_fraction=0.0, min_elevation=-30, max_elevation=80
    )
    autoencoder = prior.load_autoencoder()
    errors = {"nothing": 0.0, "class and camera": 0.0, "reference as well": 0.0}
    for family in ("mugs", "books", "chairs"):
        mesh = framed(generate_object(family, 9000), options=options)
        cameras = object_cameras(options, seed=0)
        views = [*MeshRenderer(mesh).render(cameras, samples=1)]
        rgba = torch.from_numpy(np.stack([view.rgba for view in views])).permute(0, 3, 1, 2).float() / 255
        latents = autoencoder.encode_batches(composited(rgba[:, :3], rgba[:, 3:], (1.0, 1.0, 1.0)))
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(latents.shape, generator=generator)
        times = torch.full((len(latents),), 900)
        noisy = prior.schedule.noised(latents, noise, times)
        seen_from, index = camera_directions(cameras), prior.class_index(family)
        told = condition(seen_from, shape=latents.shape, class_index=index)
        shown = condition(
            seen_from,
            shape=latents.shape,
            class_index=index,
            reference=latents[0],
            reference_direction=seen_from[0],
        )
        for name, given in zip(errors, (told.unknown(), told, shown), strict=True):
            found = prior.noise(noisy, times, given)
            errors[name] += float((found - noise)[1:].square().mean())
    assert errors["class and camera"] < 0.99 * errors["nothing"]
    assert errors["reference as well"] < 0.99 * errors["class and camera"]
