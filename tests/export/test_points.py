"""Point clouds of a sphere in closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import plyfile
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.analytic_run import CENTER, LEFT, RADIUS, RIGHT, SCALE
from helpers.tiny import TINY_GAUSSIANS
from latentfields import fit
from latentfields.cameras import Rays
from latentfields.errors import InputError
from latentfields.export.config import PointsConfig
from latentfields.export.points import export_points, merge_in_voxels
from latentfields.export.visible_surface import SOLID, surface_distance
from latentfields.fields.gaussians.field import PARAMETERS, GaussianField
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.scenes.scene import Scene

OPTIONS = PointsConfig(resolution=64, stride=1, views=8)


def test_points_lie_on_the_sphere_in_the_world(sphere_run: Run, tmp_path: Path) -> None:
    assert sphere_run.views is not None
    file = tmp_path / "new" / "points.ply"
    summary = export_points(sphere_run, sphere_run.views, out=file, options=OPTIONS)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    vertex = plyfile.PlyData.read(file)["vertex"]
    positions = (np.stack([vertex[axis] for axis in "xyz"], axis=1) - CENTER.numpy()) * SCALE
    colors = np.stack([vertex[name] for name in ("red", "green", "blue")], axis=1) / 255
    assert len(positions) == summary.points > 300
    # Rays stop inside the shell, 0.08 thick, in which the density rises; voxels have sides of 1/32.
    radius = np.linalg.norm(positions, axis=1)
    assert np.abs(radius - RADIUS).max() < 0.06
    for side, color in ((-1, LEFT), (1, RIGHT)):
        clear = side * positions[:, 0] > 0.35 * RADIUS
        np.testing.assert_allclose(np.median(colors[clear], axis=0), color, atol=0.01)
    keys = np.floor(positions * 32)
    assert len(np.unique(keys, axis=0)) > 0.95 * len(keys)


def test_what_passes_is_taken_out_of_the_depth(sphere_run: Run) -> None:
    # Along the x axis from -2 the box ends at a distance of 3.
    origins, directions = torch.tensor([[-2.0, 0.0, 0.0]] * 3), torch.tensor([[1.0, 0.0, 0.0]] * 3)
    opacity = torch.tensor([1.0, 0.9, 0.5])
    depth = opacity * 1.4 + (1 - opacity) * 3.0
    rays = Rays(origins, directions)
    found = surface_distance(sphere_run, rays, depth=depth, opacity=opacity)
    torch.testing.assert_close(found, torch.tensor([1.4, 1.4, torch.inf]))


def test_points_of_an_opaque_gaussian_lie_in_planes_through_its_centre(scene: Scene, tmp_path: Path) -> None:
    config = replace(TINY_GAUSSIANS, space="rgb").with_steps(supervision=1, alignment=0)
    run = fit(scene, None, out=tmp_path / "run", config=config)
    field, deviation, center = run.model.field, 0.3, torch.tensor([0.1, -0.2, 0.15])
    assert isinstance(field, GaussianField)
    rows = {name: torch.zeros(1, *getattr(field, name).shape[1:]) for name in PARAMETERS}
    rows["means"], rows["opacities"] = center[None], rows["opacities"] + 20
    rows["scales"] += math.log(deviation)
    rows["rotations"][:, 0] = 1
    field.set_rows(rows)
    summary = export_points(run, SceneCameras.of(scene), out=tmp_path / "p.ply", options=OPTIONS)
    vertex = plyfile.PlyData.read(summary.file)["vertex"]
    points = torch.tensor(np.stack([vertex[axis] for axis in "xyz"], axis=1)).float()
    similarity = torch.tensor(run.frame.world_to_scene)
    points = points @ similarity[:3, :3].T + similarity[:3, 3]
    assert len(points) > 30
    # Splatted depth is that of the centre; where opacity is `SOLID`, a ball of this deviation is as wide as this.
    radius = deviation * math.sqrt(-2 * math.log(SOLID))
    distance = (points - center).norm(dim=-1)
    assert 0.6 * radius < distance.max() < 1.3 * radius
    torch.testing.assert_close(points.mean(dim=0), center, atol=0.03, rtol=0)


@settings(max_examples=25)
@given(count=st.integers(1, 60), seed=st.integers(0, 1000), side=st.sampled_from([0.1, 0.5, 3.0]))
def test_merging_in_voxels_is_a_mean_by_voxel(count: int, seed: int, side: float) -> None:
    generator = np.random.default_rng(seed)
    points, colors = generator.uniform(-1, 1, (count, 3)), generator.uniform(0, 1, (count, 3))
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, point in enumerate(points):
        groups.setdefault(tuple(int(np.floor(value / side)) for value in point), []).append(index)
    expected = sorted((*points[members].mean(0), *colors[members].mean(0)) for members in groups.values())
    merged = np.concatenate(merge_in_voxels(points, colors, side=side), axis=1)
    np.testing.assert_allclose(sorted(map(tuple, merged)), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "name", "problem"),
    [
        (replace(OPTIONS, stride=0), "p.ply", "stride: is 0; expected at least 1"),
        (replace(OPTIONS, resolution=5000), "p.ply", "resolution: is 5000; expected 8 to 1024"),
        (OPTIONS, "p.las", r"expected a file that ends in \.ply"),
    ],
)
def test_unusable_options_get_one_line(
    sphere_run: Run, tmp_path: Path, options: PointsConfig, name: str, problem: str
) -> None:
    assert sphere_run.views is not None
    with pytest.raises(InputError, match=problem):
        export_points(sphere_run, sphere_run.views, out=tmp_path / name, options=options)
    assert not list(tmp_path.iterdir())


def test_an_empty_scene_has_no_points(
    sphere_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sphere_run.views is not None
    monkeypatch.setattr(sphere_run.model.field, "density", lambda points: 0 * points[:, 0])
    with pytest.raises(InputError, match="no training view shows anything solid"):
        export_points(sphere_run, sphere_run.views, out=tmp_path / "p.ply", options=OPTIONS)
