import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.cameras import Cameras, look_at

finite = st.floats(-5, 5)
seeds = st.integers(0, 2**31 - 1)
fast = settings(deadline=None, max_examples=25)


def random_cameras(seed: int, *, count: int = 3, width: int = 64, height: int = 48) -> Cameras:
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator, dtype=torch.float64)

    eye = torch.nn.functional.normalize(uniform(-1, 1, count, 3), dim=-1) * uniform(2, 6, count, 1)
    target = uniform(-0.5, 0.5, 3)
    return Cameras(
        camera_to_world=look_at(eye, target, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)),
        focal=uniform(30, 90, count, 2),
        principal=uniform(20, 40, count, 2),
        width=width,
        height=height,
    )


def random_similarity(seed: int, scale: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    rotation = rotation * torch.linalg.det(rotation).sign()
    similarity = torch.eye(4, dtype=torch.float64)
    similarity[:3, :3] = scale * rotation
    similarity[:3, 3] = torch.randn(3, generator=generator, dtype=torch.float64)
    return similarity


@fast
@given(seed=seeds, distance=st.floats(0.1, 20))
def test_points_on_rays_project_to_where_the_rays_start(seed: int, distance: float) -> None:
    cameras = random_cameras(seed)
    positions = torch.rand(3, 10, 2, dtype=torch.float64) * torch.tensor([64.0, 48.0])
    rays = cameras.rays_at(positions)
    for view in range(len(cameras)):
        points = rays.origins[view] + distance * rays.directions[view]
        projected, depth = cameras.project(points)
        torch.testing.assert_close(projected[view], positions[view], atol=1e-7, rtol=0)
        along = (rays.directions[view] * cameras.forward[view]).sum(-1)
        torch.testing.assert_close(depth[view], distance * along)


def test_pixel_grid_has_centres_at_half() -> None:
    cameras = random_cameras(0).to(torch.float32)
    rays = cameras.rays()
    assert rays.directions.shape == (3, 48, 64, 3)
    at_pixel = cameras.rays_at(torch.tensor([10.5, 7.5]).repeat(3, 1))
    torch.testing.assert_close(rays.directions[:, 7, 10], at_pixel.directions)
    corner = cameras.rays(offsets=torch.zeros(2))
    torch.testing.assert_close(
        corner.directions[:, 7, 10], cameras.rays_at(torch.tensor([[10.0, 7.0]] * 3)).directions
    )


def test_axes_are_opengl() -> None:
    cameras = Cameras(torch.eye(4)[None], torch.tensor([[10.0, 10.0]]), torch.tensor([[4.0, 4.0]]), 8, 8)
    right_up = cameras.rays_at(torch.tensor([[6.0, 2.0]])).directions[0]
    assert right_up[0] > 0
    assert right_up[1] > 0
    assert right_up[2] < 0
    projected, depth = cameras.project(torch.tensor([[1.0, 2.0, -10.0]]))
    assert projected[0, 0].tolist() == [5.0, 2.0]
    assert depth.item() == 10.0


def test_resize_is_exact() -> None:
    cameras = Cameras(
        torch.eye(4)[None],
        torch.tensor([[140.0, 100.0]]),
        torch.tensor([[70.0, 52.0]]),
        width=144,
        height=104,
    )
    small = cameras.resized(width=18, height=13)
    assert small.focal.tolist() == [[17.5, 12.5]]
    assert small.principal.tolist() == [[8.75, 6.5]]
    assert (small.width, small.height) == (18, 13)


@fast
@given(seed=seeds, width=st.integers(1, 200), height=st.integers(1, 200))
def test_resized_views_see_the_same_rays(seed: int, width: int, height: int) -> None:
    cameras = random_cameras(seed)
    resized = cameras.resized(width=width, height=height)
    positions = torch.rand(3, 5, 2, dtype=torch.float64) * torch.tensor([64.0, 48.0])
    scaled = positions * torch.tensor([width / 64, height / 48], dtype=torch.float64)
    torch.testing.assert_close(resized.rays_at(scaled).directions, cameras.rays_at(positions).directions)


@fast
@given(seed=seeds, left=st.integers(0, 60), top=st.integers(0, 40))
def test_cropped_views_see_the_same_rays(seed: int, left: int, top: int) -> None:
    cameras = random_cameras(seed).to(torch.float32)
    window = cameras.cropped(left=left, top=top, width=4, height=8)
    expected = cameras.rays().directions[:, top : top + 8, left : left + 4]
    torch.testing.assert_close(window.rays().directions[:, : expected.shape[1]], expected, atol=2e-6, rtol=0)


@fast
@given(seed=seeds, scale=st.floats(0.01, 100))
def test_a_similarity_of_the_world_does_not_move_pictures(seed: int, scale: float) -> None:
    cameras, similarity = random_cameras(seed), random_similarity(seed, scale)
    points = torch.randn(20, 3, dtype=torch.float64) * 0.3
    moved = cameras.transformed(similarity)
    before, depth_before = cameras.project(points)
    after, depth_after = moved.project(points @ similarity[:3, :3].T + similarity[:3, 3])
    torch.testing.assert_close(after, before, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(depth_after, scale * depth_before)
    rotations = moved.camera_to_world[:, :3, :3]
    identity = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), identity)


@fast
@given(
    eye=st.tuples(finite, finite, finite), up=st.sampled_from([(0, 0, 1), (0, 1, 0), (1, 1, 1), (0, 0, 5)])
)
def test_look_at_faces_the_target(eye: tuple[float, ...], up: tuple[float, ...]) -> None:
    position = torch.tensor([eye], dtype=torch.float64)
    if position.norm() < 1e-3:
        position = position + 1
    target = torch.zeros(3, dtype=torch.float64)
    pose = look_at(position, target, torch.tensor(up, dtype=torch.float64))[0]
    torch.testing.assert_close(pose[:3, :3].T @ pose[:3, :3], torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(pose[:3, :3]).item() == pytest.approx(1)
    torch.testing.assert_close(-pose[:3, 2], -position[0] / position.norm())


@pytest.mark.parametrize("up", [(0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (0.0, 3.0, 0.0)])
def test_look_at_along_up_is_still_a_rotation(up: tuple[float, ...]) -> None:
    eye = torch.tensor([up]) * 2
    pose = look_at(eye, torch.zeros(3), torch.tensor(up))[0]
    torch.testing.assert_close(pose[:3, :3].T @ pose[:3, :3], torch.eye(3), atol=1e-6, rtol=0)


def test_up_points_up() -> None:
    pose = look_at(torch.tensor([[4.0, 0.0, 1.0]]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))[0]
    assert pose[2, 0].item() == pytest.approx(0, abs=1e-6)
    assert pose[2, 1].item() == pytest.approx(4 / math.sqrt(17))


def test_rays_flatten_and_index() -> None:
    rays = random_cameras(1).to(torch.float32).rays()
    flat = rays.flatten()
    assert len(flat) == 3 * 48 * 64
    torch.testing.assert_close(flat[torch.tensor([64 * 48 + 64 + 2])].directions[0], rays.directions[1, 1, 2])
