"""The furnished room that captures are measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.room import WIDTH, furniture, main, walk, walls
from PIL import Image

from helpers.commands import latentfields
from latentfields.scenes.load import load_scene
from latentfields.scenes.objects.meshes import concatenate
from latentfields.scenes.objects.rendering import MeshRenderer


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "a.jpg")
    return folder


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    path = tmp_path / "wedge.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 2\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 4\n")
    return path


def test_it_is_closed_and_cameras_stand_in_it(pictures: Path) -> None:
    cameras = walk(6, width=16, height=12)
    assert cameras.camera_to_world[:, :2, 3].abs().max() < WIDTH / 2 - 0.3
    room = concatenate("room", walls(pictures, np.random.default_rng(0)))
    for view in MeshRenderer(room).render(cameras, samples=1):
        assert (view.rgba[..., 3] == 255).all()


def test_what_stands_in_it_stands_on_the_floor(mesh: Path) -> None:
    placed = furniture([mesh, mesh, mesh], np.random.default_rng(0))
    assert [float(item.vertices[:, 2].min()) for item in placed] == pytest.approx([0, 0, 0], abs=1e-6)
    assert all(np.abs(item.vertices[:, :2]).max() < WIDTH / 2 for item in placed)


def test_photographs_are_a_scene_with_their_cameras(pictures: Path, mesh: Path, tmp_path: Path) -> None:
    out = tmp_path / "room"
    options = ("--pictures", pictures, "--views", "3", "--size", "32", "--out", out)
    result = latentfields(mesh, *options, program=main)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in sorted((out / "photographs").iterdir())] == [
        "000.jpg",
        "001.jpg",
        "002.jpg",
    ]
    scene = load_scene(out)
    assert (len(scene.cameras), scene.cameras.width, scene.cameras.height) == (3, 32, 24)
    expected = walk(3, width=32, height=24)
    turned = expected.camera_to_world[:, :3, :3] @ expected.camera_to_world[0, :3, :3].T
    poses = scene.cameras.camera_to_world[:, :3, :3]
    torch.testing.assert_close(poses @ poses[0].T, turned, atol=1e-4, rtol=0)
