"""Maps of colours: their mean is the identity, and they take up what photographs differ in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.tiny import TINY_FIT
from helpers.unbounded_scene import ball_scene
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.fields.config import KPlanesConfig
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import Exposure, FitConfig
from latentfields.latent_nerf.exposure import ExposureMaps
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.scenes.scene import Scene

RGB = replace(TINY_FIT, space="rgb", field=KPlanesConfig(resolution=8, features=8, hidden=32))


def drawn(views: int = 3) -> ExposureMaps:
    maps = ExposureMaps(views, 3)
    with torch.no_grad():
        for parameter in maps.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(0))
    return maps


def test_they_start_as_the_identity() -> None:
    values = torch.rand(4, 3)
    assert torch.equal(ExposureMaps(2, 3)(values, torch.tensor([0, 1, 1, 0])), values)


def test_their_mean_is_the_identity_whatever_they_are() -> None:
    values = torch.rand(1, 3).expand(3, 3)
    torch.testing.assert_close(drawn()(values, torch.arange(3)).mean(dim=0), values[0])


def test_images_and_rays_are_mapped_alike() -> None:
    maps, images, views = drawn(), torch.rand(2, 3, 4, 5), torch.tensor([2, 0])
    seen = maps(images, views)
    assert seen.shape == images.shape
    torch.testing.assert_close(seen[:, :, 1, 3], maps(images[:, :, 1, 3], views))


def darkened(scene: Scene) -> Scene:
    """Every second training view at 0.6 of its brightness."""
    pixels = scene.pixels.clone()
    dark = scene.splits["train"][::2]
    pixels[dark] = (0.6 * pixels[dark].float()).round().to(torch.uint8)
    return replace(scene, pixels=pixels)


@pytest.mark.slow
def test_they_take_up_what_photographs_differ_in() -> None:
    scene = darkened(ball_scene(bounds="scene"))
    losses = {}
    exposures: tuple[Exposure, ...] = ("none", "affine")
    for exposure in exposures:
        config = replace(RGB, exposure=exposure, exposure_learning_rate=1e-2, batch_rays=512)
        trainer = trained(scene, None, config.with_steps(supervision=150, alignment=0))
        values = trainer.step(150, 0.99)
        losses[exposure] = float(values["loss"])
    assert losses["affine"] < 0.5 * losses["none"]


def trained(scene: Scene, autoencoder: Autoencoder | None, config: FitConfig) -> LatentNerfTrainer:
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)
    return trainer


def test_a_latent_fit_with_them_resumes_byte_for_byte(scene: Scene, autoencoder: Autoencoder) -> None:
    config = replace(TINY_FIT, exposure="affine").with_steps(supervision=3, alignment=3)
    whole = trained(scene, autoencoder, config)
    part = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(4):
        part.step(index, index / 6)
    resumed = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    resumed.restore(*part.state())
    for index in range(4, 6):
        resumed.step(index, index / 6)
    expected, found = whole.state()[0], resumed.state()[0]
    assert any(name.startswith("exposure_images") for name in expected)
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_they_are_no_part_of_the_scene(tmp_path: Path, scene: Scene) -> None:
    trainer = trained(scene, None, replace(RGB, exposure="affine").with_steps(supervision=2, alignment=0))
    assert not any("exposure" in name for name in trainer.model.scene_state())
