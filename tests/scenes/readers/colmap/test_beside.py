"""Points of a COLMAP model beside transforms.json: moved into its world where the cameras agree, refused where not."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.scene_files import (
    Points,
    sphere_points,
    sphere_views,
    write_colmap_binary,
    write_colmap_text,
    write_nerfstudio,
)
from latentfields.scenes import load_scene
from latentfields.scenes.readers.colmap.beside import with_points_beside
from latentfields.scenes.readers.nerfstudio import read_nerfstudio

VIEWS = sphere_views()
POINTS = sphere_points()
TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
TURN = TURN * np.sign(np.linalg.det(TURN))


def moved_poses(*, scale: float = 2.5, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Poses of a world that is turned, scaled and shifted, and the positions of the points there."""
    shift = np.array([10.0, -4.0, 3.0])
    poses = VIEWS.poses.copy()
    poses[:, :3, :3] = TURN @ poses[:, :3, :3]
    poses[:, :3, 3] = scale * poses[:, :3, 3] @ TURN.T + shift
    poses[:, :3, 3] += noise * np.random.default_rng(0).normal(size=(len(poses), 3))
    return poses, scale * POINTS.positions @ TURN.T + shift


def both(folder: Path, *, text: bool = False, **changes: float) -> Path:
    """transforms.json of one world, and a model of another beside it."""
    poses, positions = moved_poses(**changes)
    write = write_colmap_text if text else write_colmap_binary
    cameras = replace(VIEWS.cameras, camera_to_world=torch.from_numpy(poses))
    write(folder, replace(VIEWS, cameras=cameras), Points(positions=positions, colors=POINTS.colors))
    return write_nerfstudio(folder, VIEWS)


@pytest.mark.parametrize("text", [False, True])
def test_points_come_into_the_world_of_the_poses(tmp_path: Path, text: bool) -> None:
    capture = with_points_beside(read_nerfstudio(both(tmp_path / "ball", text=text)))
    assert capture.points is not None
    np.testing.assert_allclose(capture.points, POINTS.positions, atol=1e-5)
    assert capture.point_colors is not None
    np.testing.assert_array_equal(capture.point_colors, POINTS.colors)


def test_a_scene_has_them_unless_only_listed_ones_are_asked_for(tmp_path: Path) -> None:
    folder = both(tmp_path / "ball")
    scene = load_scene(folder)
    assert scene.points is not None
    assert len(scene.points) == len(POINTS.positions)
    listed = load_scene(folder, points="listed")
    assert listed.points is None
    assert listed.reading.points == "listed"


def test_other_cameras_are_said_and_their_points_ignored(tmp_path: Path) -> None:
    folder = both(tmp_path / "ball", noise=1.0)
    with pytest.warns(UserWarning, match=r"sparse/0: its cameras are not those .* its points are ignored"):
        assert load_scene(folder).points is None


def test_a_model_of_other_pictures_is_said(tmp_path: Path) -> None:
    folder = both(tmp_path / "ball")
    capture = read_nerfstudio(folder)
    renamed = replace(
        capture, views=[replace(view, name=f"other-{view.name[-6:]}") for view in capture.views]
    )
    with pytest.warns(UserWarning, match="shares 0 pictures with the poses beside it"):
        assert with_points_beside(renamed).points is None


def test_a_damaged_model_leaves_the_scene_as_it_is(tmp_path: Path) -> None:
    folder = both(tmp_path / "ball")
    (folder / "sparse" / "0" / "points3D.bin").write_bytes(b"\x07")
    with pytest.warns(UserWarning, match="points are ignored"):
        assert load_scene(folder).points is None


def test_points_that_a_capture_has_stay(tmp_path: Path) -> None:
    capture = read_nerfstudio(both(tmp_path / "ball"))
    own = replace(capture, points=np.zeros((1, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert with_points_beside(own) is own
