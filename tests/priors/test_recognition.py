"""Classes that a prior recognises: those of the packaged one, and none where there is nothing to tell apart."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.tiny import sphere_cameras
from latentfields.priors.conditions import camera_directions
from latentfields.priors.prior import load_prior
from latentfields.priors.recognition import denoising_errors, recognised
from latentfields.scenes.load import load_scene
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("family", "wanted"), [("mugs", "mugs"), ("chairs", "chairs"), ("bags", None)])
def test_objects_never_seen_are_of_their_class_or_of_none(
    family: str, wanted: str | None, tmp_path: Path
) -> None:
    views = RenderConfig(
        views=3, samples=1, min_elevation=-30, max_elevation=80, test_fraction=0, val_fraction=0
    )
    render_object_scene(generate_object(family, 900), tmp_path / "object", options=views, seed=900)
    scene = load_scene(tmp_path / "object")
    prior = load_prior("objects")
    latents = prior.load_autoencoder().encode_batches(scene.images(torch.arange(3)))
    generator = torch.Generator().manual_seed(0)
    found = recognised(prior, latents, camera_directions(scene.cameras), generator=generator)
    assert found == wanted


def test_all_classes_are_asked_about_the_same_noise(prior_run: Path) -> None:
    prior = load_prior(prior_run)
    directions = camera_directions(sphere_cameras(2))
    views = torch.randn(2, *prior.shape, generator=torch.Generator().manual_seed(1))
    first, second = (
        denoising_errors(prior, views, directions, generator=torch.Generator().manual_seed(2))
        for _ in range(2)
    )
    assert first.shape == (1 + len(prior.config.classes),)
    assert torch.equal(first, second)
    assert bool((first > 0).all())
