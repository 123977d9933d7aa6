"""Scores are about test views, whatever the training views show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.tiny import TINY_FIT
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.cli.main import parse
from latentfields.errors import ArgumentError
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.evaluate import evaluate_model, evaluate_run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.scenes.scene import Scene

RGB = replace(TINY_FIT, space="rgb")


def with_noise(scene: Scene, split: str) -> Scene:
    """`scene` with noise in place of the pictures of one split."""
    pixels = scene.pixels.clone()
    views = scene.indices(split)
    generator = torch.Generator().manual_seed(0)
    pixels[views] = torch.randint(256, pixels[views].shape, generator=generator, dtype=torch.uint8)
    return replace(scene, pixels=pixels)


def scores(scene: Scene, autoencoder: Autoencoder | None) -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    """Of an unfitted model, on whatever views are scored: by group, view and measure."""
    torch.manual_seed(0)
    config = TINY_FIT if autoencoder is not None else RGB
    model = new_model(scene, autoencoder, config)
    found = evaluate_model(model, autoencoder, scene)["test"]
    return {group: values["per_image"] for group, values in found.items()}


@pytest.mark.parametrize("space", ["latent", "rgb"])
def test_every_score_is_about_the_test_views_alone(
    scene: Scene, autoencoder: Autoencoder, space: str
) -> None:
    codec = autoencoder if space == "latent" else None
    before = scores(scene, codec)
    names = [scene.image_names[index] for index in scene.indices("test").tolist()]
    assert len(names) == 3
    assert all(list(views) == names for views in before.values())
    assert set(before) == (
        {"images", "latents", "against_autoencoded", "autoencoder"} if codec is not None else {"images"}
    )
    assert scores(with_noise(scene, "train"), codec) == before
    poisoned = scores(with_noise(scene, "test"), codec)
    assert all(poisoned[group][name] != before[group][name] for group in before for name in names)


def test_a_picture_is_compared_with_the_rendering_of_its_own_camera(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renderings as grey as their camera says, of pictures of other greys: PSNR in closed form."""
    tests = scene.indices("test").tolist()
    opaque = torch.zeros_like(scene.pixels)
    for place, view in enumerate(tests):
        opaque[view] = 51 * (place + 1)
    scene = replace(scene, pixels=opaque, alpha=None)
    model = new_model(scene, None, RGB)
    heights = scene.cameras.centers[tests][:, 2]

    def render(cameras: Cameras) -> tuple[Tensor, None]:
        greys = cameras.centers[:, 2] / 10 + 0.5
        return greys.view(-1, 1, 1, 1).expand(-1, 3, 32, 32), None

    monkeypatch.setattr(model, "render", render)
    found = evaluate_model(model, None, scene)["test"]["images"]
    for place, view in enumerate(tests):
        error = float(heights[place]) / 10 + 0.5 - 0.2 * (place + 1)
        psnr = found["per_image"][scene.image_names[view]]["psnr"]
        assert psnr == pytest.approx(-20 * math.log10(abs(error)), abs=1e-3)
    values = [views["psnr"] for views in found["per_image"].values()]
    assert found["mean"]["psnr"] == pytest.approx(sum(values) / 3)


def test_a_run_is_scored_and_rendered_on_several_grids(
    latent_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, plain = evaluate_run(latent_run, grids=2)["test"], evaluate_run(latent_run)["test"]
    assert found["images"] == plain["images"]
    assert "with_grids" not in plain
    assert found["with_grids"]["mean"]["psnr"] != plain["images"]["mean"]["psnr"]
    parse(["evaluate", str(latent_run), "--grids", "2", "--reference-views", "1"]).run()
    said = capsys.readouterr().out
    assert "with_grids" in said
    assert "with_references" in said
    command = ["render", str(latent_run), "--out"]
    parse([*command, str(tmp_path / "plain")]).run()
    parse([*command, str(tmp_path / "grids"), "--grids", "2"]).run()
    pictures = [sorted((tmp_path / name).iterdir()) for name in ("plain", "grids")]
    for one, other in zip(*pictures, strict=True):
        assert one.name == other.name
        assert one.read_bytes() != other.read_bytes()
    with pytest.raises(ArgumentError, match="grids: is given beside `what`"):
        parse([*command, str(tmp_path / "x"), "--what", "depth", "--grids", "2"]).run()
    with pytest.raises(ArgumentError, match="grids: is 3; expected a divisor"):
        parse([*command, str(tmp_path / "x"), "--grids", "3"]).run()
    assert not (tmp_path / "x").exists()


def test_what_is_scored_during_a_fit_is_about_the_test_views_alone(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    model = new_model(scene, autoencoder, TINY_FIT)

    def watched(of: Scene) -> tuple[float, float, float]:
        trainer = LatentNerfTrainer(model, of, TINY_FIT)
        return trainer.test_psnr(None), trainer.test_psnr(2), trainer.test_latent_psnr()

    before = watched(scene)
    assert watched(with_noise(scene, "train")) == before
    assert all(a != b for a, b in zip(watched(with_noise(scene, "test")), before, strict=True))
