"""Cameras of films, finished runs on disk and what is wrong with damaged ones."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.tiny import sphere_cameras
from latentfields.cameras import Cameras, look_at
from latentfields.errors import InputError
from latentfields.latent_nerf import render
from latentfields.latent_nerf.evaluate import evaluate_run
from latentfields.latent_nerf.render import ORBIT_DISTANCE, load_run_scene, orbit, render_run
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.scenes.selection import evenly_spread


def looks_at_origin(cameras: Cameras) -> bool:
    towards = -torch.nn.functional.normalize(cameras.centers, dim=-1)
    return torch.allclose(cameras.forward, towards, atol=1e-5)


def test_around_an_object_the_orbit_is_a_circle_above_it() -> None:
    around = sphere_cameras(40)
    path = orbit(around, frames=12)
    assert len(path) == 12
    assert looks_at_origin(path)
    distance = path.centers.norm(dim=-1)
    torch.testing.assert_close(distance, torch.full((12,), 3.0 * ORBIT_DISTANCE), atol=1e-3, rtol=0)
    assert (path.centers[:, 2] > 0.3).all()
    # Opposite frames stand on opposite sides.
    assert (path.centers[0, :2] + path.centers[6, :2]).norm() < 0.3


def test_in_front_of_a_scene_the_path_stays_among_the_cameras() -> None:
    eye = torch.tensor([[x, y, 4.0] for x in (-0.5, 0.0, 0.5) for y in (-0.3, 0.0, 0.3)])
    pose = look_at(eye, torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))
    front = Cameras(pose, torch.full((9, 2), 40.0), torch.full((9, 2), 16.0), 32, 32)
    path = orbit(front, frames=8)
    assert looks_at_origin(path)
    assert (path.centers - eye.mean(0)).norm(dim=-1).max() < 0.7
    assert path.centers.std(0).max() > 0.1


def test_views_are_spread_evenly() -> None:
    assert evenly_spread(torch.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert evenly_spread(torch.arange(3), 4).tolist() == [0, 1, 2]


@pytest.fixture
def copy(latent_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(latent_run, tmp_path / "copy")
    return tmp_path / "copy"


@settings(deadline=None, max_examples=15)
@given(frames=st.integers(1, 40), views=st.integers(6, 30))
def test_an_orbit_looks_at_the_origin_from_one_height(frames: int, views: int) -> None:
    cameras = orbit(sphere_cameras(views), frames=frames)
    assert len(cameras) == frames
    distance = cameras.centers.norm(dim=-1)
    torch.testing.assert_close(distance, distance[:1].expand(frames))
    torch.testing.assert_close(cameras.forward, -cameras.centers / distance[:, None], atol=1e-5, rtol=0)
    rotation = cameras.camera_to_world[:, :3, :3]
    identity = torch.eye(3).expand(frames, 3, 3)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), identity, atol=1e-5, rtol=0)


def test_an_orbit_closes_with_even_steps() -> None:
    centers = orbit(sphere_cameras(20), frames=12).centers
    steps = (centers - centers.roll(1, dims=0)).norm(dim=-1)
    torch.testing.assert_close(steps, steps[:1].expand(12), atol=1e-5, rtol=1e-5)


def test_cameras_on_one_side_are_not_orbited() -> None:
    everywhere = sphere_cameras(60)
    front = everywhere[everywhere.centers[:, 0] > 2.0]
    assert len(front) > 3
    path = orbit(front, frames=16).centers
    toward = torch.nn.functional.normalize(front.centers.mean(0), dim=0)
    angle = torch.nn.functional.cosine_similarity(path, toward[None]).clamp(-1, 1).acos()
    assert math.degrees(float(angle.max())) < 60


def test_a_single_camera_gives_a_still_picture() -> None:
    one = sphere_cameras(5)[2:3]
    path = orbit(one, frames=4)
    torch.testing.assert_close(path.centers, one.centers.expand(4, 3))
    assert path.camera_to_world.isfinite().all()


def test_evenly_spread_takes_both_ends() -> None:
    indices = torch.arange(10, 30)
    assert evenly_spread(indices, 4).tolist() == [10, 16, 23, 29]
    assert evenly_spread(indices, 50).tolist() == indices.tolist()


def test_the_scene_of_a_run_may_have_moved(copy: Path, scene_folder: Path, tmp_path: Path) -> None:
    run = Run.load(copy)
    assert isinstance(run.config, FitRunConfig)
    config = replace(run.config, scene=tmp_path / "gone", places=None)
    lost = Run(run.folder, config, run.model, run.frame)
    with pytest.raises(InputError, match="gone: there is no such folder"):
        load_run_scene(lost)
    assert len(load_run_scene(lost, scene_folder)) == 15
    stored = json.loads((copy / "metrics.json").read_text())["test"]
    assert evaluate_run(lost, scene_folder=scene_folder)["test"] == stored
    out = render_run(lost, out=tmp_path / "png", views="orbit", frames=2, fps=1, scene_folder=scene_folder)
    assert sorted(path.name for path in out.iterdir()) == ["orbit_0000.png", "orbit_0001.png"]


def test_a_scene_of_another_size_is_refused(copy: Path, tmp_path: Path) -> None:
    run = Run.load(copy)
    smaller = Run(run.folder, replace(run.config, size=16), run.model, run.frame)
    with pytest.raises(InputError, match="images are 16x16 but the run has 32x32"):
        load_run_scene(smaller)


@pytest.mark.parametrize(("frames", "fps", "option"), [(0, 20, "frames"), (4, 0, "fps")])
def test_films_need_frames_and_a_rate(copy: Path, tmp_path: Path, frames: int, fps: int, option: str) -> None:
    with pytest.raises(InputError, match=f"{option}: is 0; expected at least 1"):
        render_run(Run.load(copy), out=tmp_path / "film.mp4", views="orbit", frames=frames, fps=fps)
    assert not (tmp_path / "film.mp4").exists()


def damage_config(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["fit"]["field"]["resolution"] = 20
    path.write_text(json.dumps(config))


def damage_field(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["fit"]["batch_images"] = "four"
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            lambda folder: (folder / "config.json").unlink(),
            "is not a run; expected a folder with config.json",
        ),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json: malformed JSON"),
        (damage_field, r"config\.json: field 'fit\.batch_images' is 'four'; expected int"),
        (damage_config, r"model\.safetensors: does not fit config\.json"),
        (
            lambda folder: (folder / "model.safetensors").unlink(),
            "has no finished model yet; run the same fit",
        ),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99), "not a readable safetensors"),
        (
            lambda folder: shutil.copy(
                folder / "state" / "checkpoint.safetensors", folder / "model.safetensors"
            ),
            r"model\.safetensors: unknown field",
        ),
        (
            lambda folder: shutil.copy(
                folder / "decoder" / "model.safetensors", folder / "model.safetensors"
            ),
            r"model\.safetensors: field 'top level'",
        ),
        (lambda folder: shutil.rmtree(folder / "decoder"), "decoder"),
        (
            lambda folder: (folder / "decoder" / "model.safetensors").unlink(),
            r"decoder/model\.safetensors: no such",
        ),
    ],
)
def test_damaged_runs_get_one_line(copy: Path, damage: object, problem: str) -> None:
    assert callable(damage)
    damage(copy)
    with pytest.raises(InputError, match=problem) as caught:
        Run.load(copy)
    assert "\n" not in str(caught.value)


def test_a_rig_gets_one_picture_for_each_test_view(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.load(copy)
    views = SceneCameras.of(load_run_scene(run))
    test = views.splits["test"].tolist()
    names = tuple(f"cam{index}/000.png" for index in range(len(views.names)))
    monkeypatch.setattr(render, "run_views", lambda *_: replace(views, names=names))
    render_run(run, out=tmp_path / "png", views="test", frames=1, fps=1)
    found = {str(path.relative_to(tmp_path / "png")) for path in (tmp_path / "png").rglob("*.png")}
    assert len(test) > 1
    assert found == {names[index] for index in test}
