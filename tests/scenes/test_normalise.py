import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.scene_files import ring_cameras, sphere_hit
from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.scenes.normalise import (
    FAR_AWAY,
    MARGIN,
    MIN_NEAR,
    cube_range,
    cube_similarity,
    look_similarity,
    normalise,
    points_range,
    points_similarity,
    transform_points,
)

SOURCE = Path("scene")
NO_PIXELS = torch.empty(0, 3, 1, 1, dtype=torch.uint8)
coordinate = st.floats(-100, 100)


def center_and_half_side(similarity: torch.Tensor) -> tuple[torch.Tensor, float]:
    scale = float(similarity[0, 0])
    assert torch.equal(similarity[:3, :3], scale * torch.eye(3, dtype=similarity.dtype))
    return -similarity[:3, 3] / scale, 1 / scale


def ball_alpha(cameras: Cameras, center: tuple[float, float, float], radius: float) -> torch.Tensor:
    hit = sphere_hit(cameras, center=center, radius=radius).isfinite()
    return (255 * hit[:, None]).to(torch.uint8)


@settings(deadline=None, max_examples=20)
@given(center=st.tuples(coordinate, coordinate, coordinate), half_side=st.floats(0.01, 100))
def test_a_cube_goes_to_the_unit_cube(center: tuple[float, ...], half_side: float) -> None:
    middle = torch.tensor(center, dtype=torch.float64)
    similarity = cube_similarity(middle, half_side)
    corners = middle + half_side * torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(transform_points(similarity, corners), expected, atol=1e-9, rtol=0)


def test_cameras_around_a_point_look_at_it() -> None:
    cameras = ring_cameras()
    center, half_side = center_and_half_side(look_similarity(cameras))
    torch.testing.assert_close(
        center, torch.tensor([3.0, -2.0, 10.0], dtype=torch.float64), atol=1e-2, rtol=0
    )
    distance = (cameras.centers - center).norm(dim=-1).median()
    assert half_side == pytest.approx(0.5 * float(distance))


@pytest.mark.parametrize("count", [1, 4])
def test_parallel_views_stay_near_the_cameras(count: int) -> None:
    pose = torch.eye(4, dtype=torch.float64).repeat(count, 1, 1)
    pose[:, 0, 3] = torch.arange(count) + 1000.0
    cameras = Cameras(
        pose, torch.full((count, 2), 50.0).double(), torch.full((count, 2), 8.0).double(), 16, 16
    )
    if count > 1:
        grey = torch.full((count, 3, 16, 16), 128, dtype=torch.uint8)
        with pytest.raises(InputError, match=r"scene: its cameras all look the same way.* add points"):
            normalise(cameras, pixels=grey, train=torch.arange(count), alpha=None, points=None, source=SOURCE)
        return
    found = normalise(
        cameras, pixels=NO_PIXELS, train=torch.arange(count), alpha=None, points=None, source=SOURCE
    )
    assert found.world_to_scene.isfinite().all()
    center, half_side = center_and_half_side(found.world_to_scene)
    assert abs(float(center[0]) - (1000 + (count - 1) / 2)) < 1e-6
    assert 0 < half_side <= max(1, count)
    assert 0 < found.near < found.far < math.inf


def test_points_box_ignores_outliers() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(2000, 3, generator=generator, dtype=torch.float64) * torch.tensor([4.0, 2.0, 1.0]) + 7
    points[:10] = 1e6
    center, half_side = center_and_half_side(points_similarity(points))
    torch.testing.assert_close(center, torch.tensor([9.0, 8.0, 7.5], dtype=torch.float64), atol=0.1, rtol=0)
    assert half_side == pytest.approx(2 * MARGIN, rel=0.04)


def test_a_single_point_is_enough() -> None:
    similarity = points_similarity(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))
    assert torch.equal(similarity[:3, 3], torch.tensor([-1.0, -2.0, -3.0], dtype=torch.float64))


def test_cube_range_is_the_bounding_sphere() -> None:
    pose = torch.eye(4).repeat(2, 1, 1)
    pose[0, 2, 3], pose[1, 2, 3] = 3.0, 5.0
    cameras = Cameras(pose, torch.ones(2, 2), torch.ones(2, 2), 2, 2)
    near, far = cube_range(cameras)
    assert near == pytest.approx(3 - math.sqrt(3))
    assert far == pytest.approx(5 + math.sqrt(3))
    assert cube_range(cameras.transformed(torch.diag(torch.tensor([0.1, 0.1, 0.1, 1.0]))))[0] == MIN_NEAR


def test_points_range_uses_points_in_the_picture() -> None:
    cameras = Cameras(torch.eye(4)[None], torch.full((1, 2), 10.0), torch.full((1, 2), 5.0), 10, 10)
    depth = torch.linspace(2, 6, 401)
    axis = torch.stack([0 * depth, 0 * depth, -depth], dim=-1)
    hidden = torch.tensor([[0.0, 0.0, 0.5], [50.0, 0.0, -1.0]])  # behind the camera, beside the picture
    near, far = points_range(cameras, torch.cat([axis, hidden]))
    assert near == pytest.approx(0.9 * 2.04)
    assert far == pytest.approx(1.1 * 5.96)


def test_without_visible_points_the_cube_gives_the_range() -> None:
    cameras = Cameras(torch.eye(4)[None], torch.full((1, 2), 10.0), torch.full((1, 2), 5.0), 10, 10)
    assert points_range(cameras, torch.tensor([[0.0, 0.0, 9.0]])) == cube_range(cameras)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("center", "radius"),
    [((3.0, -2.0, 10.0), 0.5), ((3.4, -2.3, 10.2), 0.25), ((3.1, -2.0, 9.9), 0.04)],
)
def test_hull_of_a_ball_is_its_box(center: tuple[float, float, float], radius: float) -> None:
    cameras = ring_cameras(24, width=160, height=160, focal=150.0)
    alpha = ball_alpha(cameras, center, radius)
    found = normalise(
        cameras, pixels=NO_PIXELS, train=torch.arange(24), alpha=alpha, points=None, source=SOURCE
    )
    middle, half_side = center_and_half_side(found.world_to_scene)
    pixel = 3 / 150
    assert float((middle - torch.tensor(center, dtype=torch.float64)).abs().max()) < pixel
    # Margin, at most about a voxel, and a pixel of the pictures.
    assert radius < half_side < 1.12 * radius * MARGIN + 1.5 * pixel
    moved = cameras.transformed(found.world_to_scene).centers.norm(dim=-1)
    assert found.near == pytest.approx(max(MIN_NEAR, float(moved.min()) - math.sqrt(3)))
    assert found.far == pytest.approx(float(moved.max()) + math.sqrt(3))


@pytest.mark.slow
def test_thin_parts_survive_the_coarse_grid() -> None:
    """A rod far thinner than the first voxels decides the box."""
    cameras = ring_cameras(16, width=200, height=200, focal=180.0)
    alpha = torch.zeros(16, 1, 200, 200, dtype=torch.uint8)
    for step in torch.linspace(-0.7, 0.7, 29).tolist():
        alpha = torch.maximum(alpha, ball_alpha(cameras, (3.0, -2.0 + step, 10.0), 0.03))
    found = normalise(
        cameras, pixels=NO_PIXELS, train=torch.arange(16), alpha=alpha, points=None, source=SOURCE
    )
    ends = torch.tensor([[3.0, -2.73, 10.0], [3.0, -1.27, 10.0]], dtype=torch.float64)
    reached = transform_points(found.world_to_scene, ends)[:, 1]
    assert 0.85 < float(reached.abs().min()) <= float(reached.abs().max()) < 1


def test_one_wrong_mask_among_many_does_not_empty_the_hull() -> None:
    cameras = ring_cameras(40)
    alpha = ball_alpha(cameras, (3.0, -2.0, 10.0), 0.5)
    alpha[17] = 0
    found = normalise(
        cameras, pixels=NO_PIXELS, train=torch.arange(40), alpha=alpha, points=None, source=SOURCE
    )
    assert center_and_half_side(found.world_to_scene)[1] == pytest.approx(0.5 * MARGIN, rel=0.3)


def test_only_training_views_carve() -> None:
    cameras = ring_cameras(12, width=96, height=96)
    alpha = ball_alpha(cameras, (3.0, -2.0, 10.0), 0.5)
    expected = normalise(
        cameras, pixels=NO_PIXELS, train=torch.arange(9), alpha=alpha, points=None, source=SOURCE
    )
    alpha[9:] = 0
    found = normalise(
        cameras, pixels=NO_PIXELS, train=torch.arange(9), alpha=alpha, points=None, source=SOURCE
    )
    assert torch.equal(found.world_to_scene, expected.world_to_scene)


def test_masks_that_disagree_are_an_error() -> None:
    cameras = ring_cameras(8)
    alpha = torch.zeros(8, 1, 40, 48, dtype=torch.uint8)
    alpha[::2, :, :5], alpha[1::2, :, -5:] = 255, 255
    with pytest.raises(InputError, match="scene: alpha: no point of space"):
        normalise(cameras, pixels=NO_PIXELS, train=torch.arange(8), alpha=alpha, points=None, source=SOURCE)


def test_far_away_worlds_lose_no_precision() -> None:
    cameras = ring_cameras()
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.tensor([4.5e6, -3e6, 1e5])
    alpha = ball_alpha(cameras, (3.0, -2.0, 10.0), 0.5)
    near_origin = normalise(
        cameras, pixels=NO_PIXELS, train=torch.arange(12), alpha=alpha, points=None, source=SOURCE
    )
    far_cameras = cameras.transformed(shift)
    far_away = normalise(
        far_cameras, pixels=NO_PIXELS, train=torch.arange(12), alpha=alpha, points=None, source=SOURCE
    )
    torch.testing.assert_close(
        far_cameras.transformed(far_away.world_to_scene).centers,
        cameras.transformed(near_origin.world_to_scene).centers,
        atol=1e-4,
        rtol=0,
    )


def test_a_scene_without_bounds_has_most_points_in_the_cube_and_no_end() -> None:
    cameras = ring_cameras()
    generator = torch.Generator().manual_seed(0)
    center = torch.tensor([3.0, -2.0, 10.0], dtype=torch.float64)
    near_points = center + 0.5 * torch.randn(900, 3, generator=generator, dtype=torch.float64)
    far_points = center + 500 * torch.randn(100, 3, generator=generator, dtype=torch.float64)
    points = torch.cat([near_points, far_points])
    found = normalise(
        cameras,
        pixels=NO_PIXELS,
        train=torch.arange(len(cameras)),
        alpha=None,
        points=points,
        bounds="scene",
        source=SOURCE,
    )
    moved = transform_points(found.world_to_scene, points)
    inside = (moved.abs().amax(dim=-1) <= 1).double().mean()
    assert 0.8 <= inside < 0.9
    middle, half_side = center_and_half_side(found.world_to_scene)
    assert (middle - center).norm() < 0.2
    assert half_side < 2
    assert found.far == FAR_AWAY
    assert MIN_NEAR <= found.near < float((cameras.centers - center).norm(dim=-1).min()) / half_side


def test_without_points_a_scene_without_bounds_lies_where_views_look() -> None:
    cameras = ring_cameras(1)
    found = normalise(
        cameras,
        pixels=NO_PIXELS,
        train=torch.arange(1),
        alpha=None,
        points=None,
        bounds="scene",
        source=SOURCE,
    )
    assert torch.equal(found.world_to_scene, look_similarity(cameras))
    assert (found.near, found.far) == (MIN_NEAR, FAR_AWAY)


@pytest.mark.parametrize(("tail", "bounds"), [(1.0, "object"), (20.0, "scene")])
def test_points_of_a_survey_have_an_end_and_those_of_a_street_have_none(tail: float, bounds: str) -> None:
    poses = torch.eye(4, dtype=torch.float64).repeat(9, 1, 1)
    poses[:, :2, 3] = torch.cartesian_prod(*(torch.linspace(-1, 1, 3, dtype=torch.float64),) * 2)
    cameras = Cameras(
        poses, torch.full((9, 2), 16.0).double(), torch.full((9, 2), 8.0).double(), width=16, height=16
    )
    generator = torch.Generator().manual_seed(0)
    ground = 4 * torch.rand(500, 3, generator=generator, dtype=torch.float64) - 2
    ground[:, 2] = -3
    ground[:50] *= tail
    found = normalise(
        cameras,
        pixels=NO_PIXELS,
        train=torch.arange(9),
        alpha=None,
        points=ground,
        bounds="auto",
        source=SOURCE,
    )
    assert found.bounds == bounds
