"""Large coordinates: what is exported is exact, or a file beside says what is missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import plyfile
import pytest
import torch

from helpers.scene_files import sphere_views, write_nerfstudio
from helpers.tiny import TINY_FIT, TINY_GAUSSIANS
from latentfields import fit
from latentfields.export.cameras import export_cameras
from latentfields.export.config import PointsConfig
from latentfields.export.gaussians import export_gaussians
from latentfields.export.points import export_points
from latentfields.export.world import EXACT, points_to_world, shift_file, state_shift, world_shift
from latentfields.fields.gaussians.field import GaussianField
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.scenes import load_scene

UTM = np.array([401_234.567, 5_712_345.678, 123.456])
MILLIMETRE = 1e-3


@pytest.fixture
def utm_folder(tmp_path: Path) -> Path:
    folder = write_nerfstudio(tmp_path / "utm", sphere_views())
    file = folder / "transforms.json"
    value = json.loads(file.read_text())
    for frame in value["frames"]:
        for axis in range(3):
            frame["transform_matrix"][axis][3] += UTM[axis]
    file.write_text(json.dumps(value))
    return folder


@pytest.mark.slow
def test_cameras_are_exact_to_a_millimetre(utm_folder: Path, tmp_path: Path) -> None:
    scene = load_scene(utm_folder)
    assert scene.world_to_scene.dtype == torch.float64
    config = replace(TINY_FIT, space="rgb").with_steps(supervision=1, alignment=0)
    run = fit(scene, None, out=tmp_path / "run", config=config)
    run = Run.load(tmp_path / "run")
    summary = export_cameras(
        run, SceneCameras.of(scene), out=tmp_path / "cameras", path="capture", frames=1, pictures=False
    )
    for frame, pose in zip(json.loads(summary.file.read_text())["frames"], sphere_views().poses, strict=True):
        found = np.array(frame["transform_matrix"])
        np.testing.assert_allclose(found[:3, 3], pose[:3, 3] + UTM, atol=MILLIMETRE, rtol=0)
        np.testing.assert_allclose(found[:3, :3], pose[:3, :3], atol=1e-6)


def test_gaussians_and_points_state_a_shift(utm_folder: Path, tmp_path: Path) -> None:
    scene = load_scene(utm_folder)
    config = replace(TINY_GAUSSIANS, space="rgb").with_steps(supervision=1, alignment=0)
    run = fit(scene, None, out=tmp_path / "run", config=config)
    field = run.model.field
    assert isinstance(field, GaussianField)
    exact = points_to_world(run.frame, field.means.detach().double().numpy())
    file = export_gaussians(run, out=tmp_path / "g.ply").file
    vertex = plyfile.PlyData.read(file)["vertex"]
    stored = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float64)
    shift = np.array(json.loads(shift_file(file).read_text())["shift"])
    assert np.array_equal(shift, np.rint(shift))
    np.testing.assert_allclose(stored + shift, exact, atol=MILLIMETRE, rtol=0)
    assert np.abs(exact.astype(np.float32) - exact).max() > 10 * MILLIMETRE


def test_points_state_a_shift(sphere_run: Run, tmp_path: Path) -> None:
    assert sphere_run.views is not None
    options = PointsConfig(resolution=64, stride=2, views=4)
    near = export_points(sphere_run, sphere_run.views, out=tmp_path / "near.ply", options=options).file
    matrix = torch.tensor(sphere_run.frame.world_to_scene, dtype=torch.float64)
    matrix[:3, 3] -= matrix[0, 0] * torch.from_numpy(UTM)
    far_run = Run(
        sphere_run.folder,
        sphere_run.config,
        sphere_run.model,
        replace(sphere_run.frame, world_to_scene=matrix.tolist()),
        views=sphere_run.views,
    )
    file = tmp_path / "far.ply"
    export_points(far_run, sphere_run.views, out=file, options=options)
    shift = np.array(json.loads(shift_file(file).read_text())["shift"])
    positions = [
        np.stack([plyfile.PlyData.read(path)["vertex"][axis] for axis in "xyz"], axis=1).astype(np.float64)
        for path in (near, file)
    ]
    np.testing.assert_allclose(positions[1] + shift, positions[0] + UTM, atol=MILLIMETRE, rtol=0)
    assert not shift_file(near).exists()
    # The next export of near points to the same file does not leave the shift behind.
    export_points(sphere_run, sphere_run.views, out=file, options=options)
    assert not shift_file(file).exists()


def test_a_shift_is_of_whole_units_and_only_where_it_is_needed(tmp_path: Path) -> None:
    small = np.array([[EXACT - 1, 0.0, 0.0], [1.0, 2.0, 3.0]])
    assert not world_shift(small).any()
    assert not world_shift(np.empty((0, 3))).any()
    large = small + np.array([10 * EXACT, 0.0, 0.25])
    assert world_shift(large).tolist() == [np.rint(10 * EXACT + EXACT / 2), 1.0, 2.0]
    state_shift(tmp_path / "a.ply", world_shift(large))
    assert shift_file(tmp_path / "a.ply").name == "a.ply.shift.json"
    state_shift(tmp_path / "a.ply", np.zeros(3))
    assert list(tmp_path.iterdir()) == []
