import math

import pytest
import torch
from torch import Tensor

from helpers.sphere_scene import RADIUS, ring_of_cameras, sphere_scene, surface_points
from latentfields.cameras import Cameras, look_at
from latentfields.measures.warping import (
    Correspondence,
    correspondences,
    covered_cells,
    neighbouring_views,
    values_at_target,
    values_from_source,
)

FACTOR = 4
Found = tuple[Cameras, list[Correspondence]]


@pytest.fixture(scope="module")
def found() -> Found:
    """Correspondences of all neighbouring views of the sphere, with its cameras."""
    scene = sphere_scene()
    assert scene.depth is not None
    depth = scene.depth
    covered = covered_cells(depth, factor=FACTOR)
    pairs = neighbouring_views(scene.cameras, largest_angle=60.0)
    assert pairs
    return scene.cameras, [
        correspondences(scene.cameras, depth, covered, target=t, source=s, factor=FACTOR) for t, s in pairs
    ]


def target_points(cameras: Cameras, pair: Correspondence) -> Tensor:
    """Where rays through the target's cell centres meet the sphere, exactly."""
    camera = cameras[pair.target : pair.target + 1]
    rays = camera.rays_at((pair.cells.flip(1) + 0.5)[None] * FACTOR)
    origins, directions = rays.origins[0], rays.directions[0]
    half_b = (origins * directions).sum(-1)
    root = (half_b**2 - origins.square().sum(-1) + RADIUS**2).sqrt()
    return origins + directions * (-half_b - root)[:, None]


def test_positions_are_where_the_source_sees_the_same_point(found: Found) -> None:
    cameras, pairs = found
    assert sum(len(pair.cells) for pair in pairs) > 300
    for pair in pairs:
        expected, _ = cameras[pair.source : pair.source + 1].project(target_points(cameras, pair))
        # Depth at the centre comes from the four pixels around it: off by their curvature.
        torch.testing.assert_close(pair.positions, expected[0] / FACTOR, atol=0.03, rtol=0)


def test_points_on_the_far_side_are_not_found(found: Found) -> None:
    cameras, pairs = found
    for pair in pairs:
        points = target_points(cameras, pair)
        towards = cameras.centers[pair.source] - points
        assert bool(((points * towards).sum(-1) > 0).all())


def test_an_object_in_between_hides_the_surface() -> None:
    """Two cameras face a wall; something close in front of the second one covers its right half."""
    pose = look_at(
        torch.tensor([[0.0, 0.0, 4.0], [0.5, 0.0, 4.0]]), torch.zeros(3), torch.tensor([0.0, 1.0, 0.0])
    )
    pose[1, :3, :3] = pose[0, :3, :3]
    cameras = Cameras(pose, torch.full((2, 2), 32.0), torch.full((2, 2), 16.0), width=32, height=32)
    depth = torch.full((2, 1, 32, 32), 4.0)
    depth[1, :, :, 16:] = 2.0
    covered = covered_cells(depth, factor=4)
    pair = correspondences(cameras, depth, covered, target=0, source=1, factor=4)
    assert len(pair.cells) > 10
    assert float(pair.positions[:, 0].max()) < 4.5  # in cells: the free half, with the cell that straddles
    shift = pair.positions - (pair.cells.flip(1) + 0.5)
    torch.testing.assert_close(shift, torch.tensor([-1.0, 0.0]).expand_as(shift), atol=1e-4, rtol=0)


def test_a_function_of_the_surface_is_the_same_in_both_views(found: Found) -> None:
    cameras, pairs = found
    points, _ = surface_points(cameras)
    # Cell centres lie between pixels: a map over cells, sampled by rays through those centres.
    rays = cameras.resized(width=cameras.width // FACTOR, height=cameras.height // FACTOR)
    centres, _ = surface_points(rays)
    maps = torch.nan_to_num(torch.sin(2 * centres)).permute(0, 3, 1, 2)
    assert points.shape[1] == FACTOR * maps.shape[2]
    a = torch.cat([values_at_target(maps, pair) for pair in pairs])
    b = torch.cat([values_from_source(maps, pair) for pair in pairs])
    assert float((a - b).square().mean() / a.var()) < 0.01


def test_covered_cells_see_the_surface_everywhere() -> None:
    depth = torch.full((1, 1, 4, 4), 2.0)
    depth[0, 0, 1, 3] = torch.inf
    assert covered_cells(depth, factor=2).tolist() == [[[True, False], [True, True]]]


@pytest.mark.parametrize("angle", [30.0, 60.0])
def test_neighbouring_views_point_in_similar_directions(angle: float) -> None:
    cameras = ring_of_cameras(12)
    pairs = neighbouring_views(cameras, largest_angle=angle)
    for target in range(12):
        for source in range(12):
            cosine = float(cameras.forward[target] @ cameras.forward[source])
            near = target != source and cosine >= math.cos(math.radians(angle))
            assert ((target, source) in pairs) == near
