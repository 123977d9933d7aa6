"""What somebody writes on the first day: it runs as written, and what is wrong is said by the argument's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import latentfields as lf
from helpers.tiny import TINY_FIT, write_sphere_scene
from latentfields.errors import ArgumentError


@pytest.fixture
def at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_sphere_scene(tmp_path / "data" / "sphere")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_script(at_work: Path) -> None:
    scene = lf.load_scene("data/sphere")
    autoencoder = lf.load_autoencoder("base")
    quick = TINY_FIT.with_steps(supervision=2, alignment=2)
    run = lf.fit("data/sphere", "base", config=quick)
    assert run.folder == Path("runs/sphere-triplane-latent")
    again = lf.fit(scene, autoencoder, config=quick)
    cameras = scene.cameras[scene.indices("test")]
    image = run.render(cameras[0])
    assert image.shape == (1, 3, 32, 32)
    assert torch.equal(again.render(cameras[0]), image)
    assert not image.requires_grad
    assert run.render_latents(cameras[-1]).latents.requires_grad
    assert lf.render_depth(run, cameras).depth.shape == (3, 1, 32, 32)
    assert run.metrics["test"]["images"]["mean"]["psnr"] > 3
    assert lf.evaluate_run("runs/sphere-triplane-latent")["test"] == run.metrics["test"]
    assert lf.evaluate_run(run, scene="data/sphere")["test"] == run.metrics["test"]
    assert run.render(lf.orbit(scene, frames=2)).shape == (2, 3, 32, 32)
    assert repr(scene) == "<Scene 'sphere': 15 views of 32x32 pixels (12 train, 3 test)>"
    assert repr(run) == "<Run 'runs/sphere-triplane-latent': triplane in latents of base, 32x32 pixels>"
    assert repr(cameras) == "<Cameras: 3 of 32x32 pixels>"
    assert repr(autoencoder) == "<Autoencoder 'base': 16 channels, 8 pixels per latent and side>"


def test_exports_take_runs_and_their_folders(latent_run: Path, tmp_path: Path) -> None:
    run = lf.Run.load(latent_run)
    lf.export_cameras(run, out=tmp_path / "cameras")
    assert (tmp_path / "cameras" / "transforms.json").is_file()
    file = lf.export_scene(latent_run, out=str(tmp_path / "scene.safetensors")).file
    views = lf.Run.load(file).views
    assert views is not None
    lf.export_views(file, lf.orbit(views.cameras, frames=1), out=tmp_path)
    assert (tmp_path / "rendered.safetensors").is_file()


WRONG: dict[str, Callable[[Any, Any, Any], object]] = {
    "field: is 'nerf'; expected triplane": lambda scene, ae, run: lf.fit(scene, ae, field="nerf"),  # type: ignore[arg-type]
    "field: is 'small'; expected triplane": lambda scene, ae, run: lf.preset("small"),  # type: ignore[arg-type]
    "name: is 'large'; expected small": lambda scene, ae, run: lf.preset("kplanes", "large"),  # type: ignore[arg-type]
    "scene: is of the type int; expected Scene or str or Path": lambda scene, ae, run: lf.fit(3, ae),  # type: ignore[arg-type]
    "path: is of the type NoneType": lambda scene, ae, run: lf.load_scene(None),  # type: ignore[arg-type]
    "name: is of the type list": lambda scene, ae, run: lf.load_autoencoder([]),  # type: ignore[arg-type]
    "device: is 'tpu'": lambda scene, ae, run: lf.fit(scene, ae, out="x", device="tpu"),
    "seconds: is -1": lambda scene, ae, run: lf.fit(scene, ae, out="x", seconds=-1),
    "images: are uint8": lambda scene, ae, run: ae.encode(scene.pixels[:2]),
    "images: are 30x30; expected multiples of the factor 4": lambda scene, ae, run: ae.encode(
        torch.rand(1, 3, 30, 30)
    ),
    "images: is of the type list": lambda scene, ae, run: ae.encode([1, 2]),
    "latents: have the shape (1, 3, 8, 8); expected (B, 8, h, w)": lambda scene, ae, run: ae.decode(
        torch.rand(1, 3, 8, 8)
    ),
    "latents: have the shape (4, 8, 8)": lambda scene, ae, run: ae.decode(torch.rand(4, 8, 8)),
    "latents: is of the type NoneType": lambda scene, ae, run: ae.decode(None),
    "show: is 'depth'; expected": lambda scene, ae, run: run.render(scene.cameras[0], show="depth"),
    "images: have the shape": lambda scene, ae, run: ae.encode(torch.rand(3, 32, 32)),
    "cameras: is of the type Tensor": lambda scene, ae, run: run.render(scene.cameras.camera_to_world),
    "camera_to_world: has the shape": lambda scene, ae, run: lf.Cameras(
        torch.eye(4), scene.cameras.focal, scene.cameras.principal, 32, 32
    ),
    "frames: is 0": lambda scene, ae, run: lf.orbit(scene, frames=0),
    "what: is 'colour'; expected rgb": lambda scene, ae, run: lf.export_views(
        run,
        scene.cameras,
        out="x",
        what=("colour",),  # type: ignore[arg-type]
    ),
    "run: is of the type int": lambda scene, ae, run: lf.evaluate_run(3),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("problem", WRONG)
def test_wrong_arguments_are_input_errors_that_name_them(
    problem: str, scene: lf.Scene, autoencoder: lf.Autoencoder, latent_run: Path, at_work: Path
) -> None:
    with pytest.raises(ArgumentError) as caught:
        WRONG[problem](scene, autoencoder, lf.Run.load(latent_run))
    assert str(caught.value).startswith(problem)
    assert not (at_work / "x").exists()
    assert not (at_work / "runs").exists()


def test_a_score_takes_an_autoencoder(autoencoder: lf.Autoencoder, scene_folder: Path) -> None:
    measured = lf.evaluate_autoencoder(autoencoder, scenes=scene_folder, size=32, limit=2)
    assert measured["scenes"]["psnr"] > 10
