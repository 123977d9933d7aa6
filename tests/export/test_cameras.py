"""Cameras in transforms.json, read by a plain JSON parser and by the package's own reader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.analytic_run import CENTER, SCALE, VIEWS
from latentfields.errors import InputError
from latentfields.export.cameras import export_cameras
from latentfields.latent_nerf.run import Run
from latentfields.scenes.load import load_scene
from latentfields.scenes.readers.nerfstudio import read_nerfstudio
from latentfields.scenes.scene import Scene


def test_poses_are_the_captures_own(sphere_run: Run, tmp_path: Path) -> None:
    views = sphere_run.views
    assert views is not None
    export_cameras(sphere_run, views, out=tmp_path, path="capture", frames=1, pictures=False)
    assert [path.name for path in tmp_path.iterdir()] == ["transforms.json"]
    contents = json.loads((tmp_path / "transforms.json").read_text())
    assert len(contents["frames"]) == VIEWS
    assert contents["test_filenames"] == ["images/shots/010.png", "images/shots/011.png"]
    assert "val_filenames" not in contents
    for frame, pose in zip(contents["frames"], views.cameras.camera_to_world.double().numpy(), strict=True):
        found = np.array(frame["transform_matrix"])
        np.testing.assert_allclose(found[:3, 3], CENTER.numpy() + pose[:3, 3] / SCALE, atol=1e-5)
        np.testing.assert_allclose(found[:3, :3], pose[:3, :3], atol=1e-6)
        assert (frame["fl_x"], frame["cx"]) == (pytest.approx(1.6 * 32), 16)


def test_with_pictures_the_folder_is_a_scene(sphere_run: Run, tmp_path: Path) -> None:
    views = sphere_run.views
    assert views is not None
    export_cameras(sphere_run, views, out=tmp_path, path="capture", frames=1, pictures=True)
    capture = read_nerfstudio(tmp_path)
    assert list(capture.splits["train"]) == views.splits["train"].tolist()
    found = np.stack([view.pose[:3, 3] for view in capture.views])
    expected = CENTER.numpy() + views.cameras.centers.double().numpy() / SCALE
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_orbit_goes_around_the_scene(sphere_run: Run, tmp_path: Path) -> None:
    assert sphere_run.views is not None
    export_cameras(sphere_run, sphere_run.views, out=tmp_path, path="orbit", frames=5, pictures=False)
    poses = np.array(
        [
            frame["transform_matrix"]
            for frame in json.loads((tmp_path / "transforms.json").read_text())["frames"]
        ]
    )
    assert len(poses) == 5
    toward = CENTER.numpy() - poses[:, :3, 3]
    distance = np.linalg.norm(toward, axis=1, keepdims=True)
    np.testing.assert_allclose(-poses[:, :3, 2], toward / distance, atol=1e-5)


def test_names_that_differ_in_their_ending_stay_apart(sphere_run: Run, tmp_path: Path) -> None:
    assert sphere_run.views is not None
    names = ("a.jpg", "a.png", *sphere_run.views.names[2:])
    views = replace(sphere_run.views, names=names)
    export_cameras(sphere_run, views, out=tmp_path, path="capture", frames=1, pictures=False)
    frames = json.loads((tmp_path / "transforms.json").read_text())["frames"]
    assert [frame["file_path"] for frame in frames[:2]] == ["images/a.jpg.png", "images/a.png.png"]


def test_unusable_options_get_one_line(sphere_run: Run, tmp_path: Path) -> None:
    assert sphere_run.views is not None
    with pytest.raises(InputError, match="frames: is 0; expected at least 1"):
        export_cameras(sphere_run, sphere_run.views, out=tmp_path, path="orbit", frames=0, pictures=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="expected a folder"):
        export_cameras(
            sphere_run, sphere_run.views, out=tmp_path / "file", path="capture", frames=1, pictures=False
        )


@pytest.mark.slow
def test_exported_cameras_load_again(latent_run: Path, scene: Scene, tmp_path: Path) -> None:
    """With the capture's own pictures, as they were fitted: the same pixels and views, in the same splits."""
    summary = export_cameras(latent_run, out=tmp_path / "cameras")
    assert (summary.cameras, summary.pictures) == (15, 15)
    again = load_scene(tmp_path / "cameras")
    order = [again.image_names.index(f"images/{name}") for name in scene.image_names]
    assert torch.equal(again.pixels[order], scene.pixels)
    assert again.alpha is not None
    assert scene.alpha is not None
    assert torch.equal(again.alpha[order], scene.alpha)
    for split in ("train", "test"):
        assert {order.index(int(i)) for i in again.splits[split]} == set(scene.splits[split].tolist())
    world = torch.linalg.inv(again.world_to_scene)
    torch.testing.assert_close(
        again.cameras[order].transformed(world).centers,
        scene.cameras.transformed(torch.linalg.inv(scene.world_to_scene)).centers,
        atol=1e-4,
        rtol=0,
    )


def test_without_photographs_there_are_cameras_alone(latent_run: Path, tmp_path: Path) -> None:
    assert export_cameras(latent_run, out=tmp_path, photographs=False).pictures == 0
    assert [path.name for path in tmp_path.iterdir()] == ["transforms.json"]
