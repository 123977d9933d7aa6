"""Pixels that masks ignore enter no loss and no score: a fit is the same to the bit whatever lies there."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from helpers.tiny import SIZE, TINY_FIT, TINY_GAUSSIANS
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import FitConfig, Space
from latentfields.latent_nerf.evaluate import evaluate_model
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene


def left_out(scene: Scene) -> Tensor:
    """The right third of every picture, not on the borders of latents."""
    ignored = torch.zeros_like(scene.pixels[:, :1], dtype=torch.bool)
    ignored[..., scene.size[1] - 11 :] = True
    return ignored


def ignoring(scene: Scene, ignored: Tensor, *, fill: int) -> Scene:
    """What `load_scene` makes of the scene with a mask, with another colour under it."""
    alpha = None if scene.alpha is None else scene.alpha.masked_fill(ignored, 255)
    return replace(scene, pixels=scene.pixels.masked_fill(ignored, fill), alpha=alpha, ignored=ignored)


def trained(scene: Scene, autoencoder: Autoencoder | None, config: FitConfig) -> LatentNerfTrainer:
    config = replace(config, space="rgb" if autoencoder is None else "latent")
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)
    return trainer


def test_a_fit_of_colours_does_not_see_ignored_pixels(scene: Scene) -> None:
    config, ignored = TINY_FIT, left_out(scene)
    dark, bright = (ignoring(scene, ignored, fill=fill) for fill in (0, 255))
    one, other = (trained(seen, None, config) for seen in (dark, bright))
    for name, value in one.model.scene_state().items():
        assert torch.equal(value, other.model.scene_state()[name]), name
    assert one.test_psnr(None) == other.test_psnr(None)
    unmasked = trained(replace(bright, ignored=None), None, config)
    assert any(
        not torch.equal(value, unmasked.model.scene_state()[name])
        for name, value in one.model.scene_state().items()
    )


def test_latents_of_cells_with_ignored_pixels_do_not_count(scene: Scene, autoencoder: Autoencoder) -> None:
    """The encoder of the helper sees its own cell alone, so that the whole fit is the same."""
    ignored = left_out(scene)
    dark, bright = (ignoring(scene, ignored, fill=fill) for fill in (0, 255))
    one, other = (trained(seen, autoencoder, TINY_FIT) for seen in (dark, bright))
    for name, value in one.model.state_dict().items():
        assert torch.equal(value, other.model.state_dict()[name]), name
    assert one.after_supervision == other.after_supervision


@pytest.mark.slow
@pytest.mark.parametrize("config", [TINY_FIT, TINY_GAUSSIANS], ids=["field", "gaussians"])
@pytest.mark.parametrize("space", ["rgb", "latent"])
def test_a_fit_is_the_same_whatever_lies_under_the_masks(
    scene_folder: Path, autoencoder: Autoencoder, tmp_path: Path, config: FitConfig, space: Space
) -> None:
    """From files to scores, to the bit."""
    generator = np.random.default_rng(0)
    folders = [shutil.copytree(scene_folder, tmp_path / name / "scene") for name in ("clean", "noisy")]
    for folder in folders:
        for file in folder.glob("t*/*.png"):
            mask = np.full((SIZE, SIZE), 255, np.uint8)
            mask[3:14, 9:22] = 0
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(folder / "masks" / file.name)
            if folder.parent.name == "noisy":
                pixels = np.array(Image.open(file))
                pixels[mask == 0] = generator.integers(0, 256, (int((mask == 0).sum()), pixels.shape[2]))
                Image.fromarray(pixels).save(file)
    results = []
    for folder in folders:
        seen = load_scene(folder, masks="ignore")
        assert seen.ignored is not None
        trainer = trained(seen, autoencoder if space == "latent" else None, config)
        scores = evaluate_model(trainer.model, None, seen)
        results.append((trainer.model.state_dict(), scores))
    (one, scores), (other, other_scores) = results
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    assert scores == other_scores


def test_scores_are_those_of_the_kept_pixels(scene: Scene) -> None:
    ignored = left_out(scene)
    width = scene.size[1] - 11
    config = replace(TINY_FIT, space="rgb")
    model = new_model(scene, None, config)
    scores = evaluate_model(model, None, ignoring(scene, ignored, fill=200))["test"]["images"]
    again = evaluate_model(model, None, ignoring(scene, ignored, fill=10))["test"]["images"]
    assert scores["per_image"].keys() == again["per_image"].keys()
    indices = scene.indices("test")
    images, _ = model.render(scene.cameras[indices])
    squares = (images - scene.images(indices))[..., :width].square().mean(dim=(1, 2, 3))
    for index, error in zip(indices.tolist(), squares, strict=True):
        found = scores["per_image"][scene.image_names[index]]["psnr"]
        assert found == pytest.approx(float(-10 * error.log10()), abs=1e-4)
        assert again["per_image"][scene.image_names[index]]["psnr"] == found


def test_every_ray_is_of_a_kept_pixel(scene: Scene) -> None:
    ignored = left_out(scene)
    white = torch.where(ignored, 255, 0).to(torch.uint8).expand_as(scene.pixels)
    seen = replace(scene, pixels=white.contiguous(), alpha=None, ignored=ignored)
    config = replace(TINY_FIT, space="rgb", batch_rays=4000)
    trainer = LatentNerfTrainer(new_model(seen, None, config), seen, config)
    _, target, _ = trainer._pixel_batch()
    assert float(target.max()) == 0
