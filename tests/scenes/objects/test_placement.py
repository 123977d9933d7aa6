import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from helpers.mesh_samples import sphere
from latentfields.scenes.objects.placement import framed_radius, sphere_cameras
from latentfields.scenes.objects.rendering import MeshRenderer


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 60), st.integers(0, 1000), st.floats(-90, 60), st.floats(0, 30))
def test_cameras_look_at_the_origin_from_the_allowed_band(
    count: int, seed: int, low: float, extent: float
) -> None:
    cameras = sphere_cameras(
        count,
        distance=2.0,
        size=16,
        field_of_view=40.0,
        seed=seed,
        min_elevation=low,
        max_elevation=low + extent,
    )
    np.testing.assert_allclose(cameras.centers.norm(dim=1), 2.0, rtol=1e-5)
    np.testing.assert_allclose(cameras.forward, -cameras.centers / 2, atol=1e-5)
    elevation = torch.rad2deg(torch.asin((cameras.centers[:, 2] / 2).clamp(-1, 1)))
    assert low - 0.1 <= elevation.min() <= elevation.max() <= low + extent + 0.1
    rotations = cameras.camera_to_world[:, :3, :3]
    np.testing.assert_allclose(
        rotations @ rotations.transpose(1, 2), np.tile(np.eye(3), (count, 1, 1)), atol=1e-5
    )


def test_cameras_cover_the_sphere_evenly() -> None:
    eyes = sphere_cameras(100, distance=1.0, size=16, field_of_view=40.0, seed=0).centers
    assert eyes.mean(dim=0).norm() < 0.05
    nearest = (torch.cdist(eyes, eyes) + 9 * torch.eye(100)).min(dim=1).values
    # 100 random points would have neighbours at less than 0.02; a perfect lattice, at 0.36.
    assert nearest.min() > 0.1


def test_seeds_choose_the_views() -> None:
    first, again, other = (
        sphere_cameras(10, distance=1.0, size=16, field_of_view=40.0, seed=seed) for seed in (4, 4, 5)
    )
    assert torch.equal(first.camera_to_world, again.camera_to_world)
    assert (first.centers - other.centers).norm(dim=1).min() > 1e-3


@pytest.mark.parametrize(("distance", "field_of_view"), [(1.3, 49.13), (4.0, 20.0), (0.5, 100.0)])
def test_a_framed_sphere_fills_the_picture_without_touching_its_edge(
    distance: float, field_of_view: float
) -> None:
    radius = framed_radius(distance=distance, field_of_view=field_of_view)
    cameras = sphere_cameras(2, distance=distance, size=64, field_of_view=field_of_view, seed=0)
    for view in MeshRenderer(sphere(radius)).render(cameras, samples=2):
        seen = view.rgba[..., 3] > 0
        edge = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
        assert not edge.any()
        assert seen.any(axis=0).sum() > 0.85 * 64
