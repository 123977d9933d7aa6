import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.corner_scene import corner_cameras, surface_points, write_depth_scene, write_pictures
from latentfields.cameras import Cameras
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.correspondences.depth import depth_correspondences
from latentfields.correspondences.files import SceneCorrespondences
from latentfields.errors import InputError

CAMERAS = corner_cameras(9)
TRAIN = [1, 2, 3, 4, 5, 6, 7]
"""Every eighth view is a test view."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_depth_scene(tmp_path_factory.mktemp("depth") / "corner", CAMERAS)


@pytest.fixture(scope="module")
def found(folder: Path) -> SceneCorrespondences:
    return depth_correspondences(folder, CorrespondenceConfig())


def positions(found: SceneCorrespondences, pair: int) -> Tensor:
    return found.fractions(pair) * found.sizes[found.pairs[pair]]


def test_both_ends_are_views_of_one_surface_point(found: SceneCorrespondences) -> None:
    """By tracing both rays against the walls, which the matching knows nothing about."""
    assert found.images == tuple(f"images/view_{index:02d}.png" for index in TRAIN)
    for pair, (first, second) in enumerate(found.pairs.tolist()):
        both = positions(found, pair).transpose(0, 1)
        ends = surface_points(CAMERAS[[TRAIN[first], TRAIN[second]]], both)
        # Creases are not smooth between pixels: the median is far below a pixel, the worst still small.
        distance = (ends[0] - ends[1]).norm(dim=1)
        assert float(distance.median()) < 2e-3
        assert float(distance.max()) < 0.06


def test_they_satisfy_the_epipolar_constraint(found: SceneCorrespondences) -> None:
    """x_j^T F_ij x_i = 0, LRF Eq. 5, as a distance of x_j to the epipolar line of x_i in pixels."""
    for pair, (first, second) in enumerate(found.pairs.tolist()):
        f = fundamental_matrix(CAMERAS[[TRAIN[first], TRAIN[second]]])
        ends = positions(found, pair).double()
        homogeneous = torch.cat([ends, torch.ones_like(ends[..., :1])], dim=-1)
        lines = homogeneous[:, 0] @ f.T
        distance = (homogeneous[:, 1] * lines).sum(1).abs() / lines[:, :2].norm(dim=1)
        assert float(distance.max()) < 0.02


def fundamental_matrix(cameras: Cameras) -> torch.Tensor:
    cameras = cameras.to(torch.float64)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    poses = cameras.camera_to_world @ flip
    relative = torch.linalg.inv(poses[1]) @ poses[0]
    x, y, z = relative[:3, 3].tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    (fx, fy), (cx, cy) = cameras.focal[0].tolist(), cameras.principal[0].tolist()
    inverse = torch.linalg.inv(torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64))
    matrix: Tensor = inverse.T @ cross @ relative[:3, :3] @ inverse
    return matrix


def test_only_views_within_the_angle_are_paired(folder: Path, found: SceneCorrespondences) -> None:
    narrow = depth_correspondences(folder, CorrespondenceConfig(largest_angle=15.0))
    cosine = CAMERAS.forward[TRAIN] @ CAMERAS.forward[TRAIN].T
    near = {(i, j) for i in range(7) for j in range(i + 1, 7) if cosine[i, j] > 0.9659}
    assert {(i, j) for i, j in narrow.pairs.tolist()} == near
    assert len(found) > len(narrow)


def test_finer_spacing_gives_more_points(folder: Path, found: SceneCorrespondences) -> None:
    fine = depth_correspondences(folder, CorrespondenceConfig(spacing=2))
    assert 3 < len(fine.points) / len(found.points) < 5


def test_a_scene_without_depth_is_refused(folder: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", CAMERAS)
    meta = json.loads((folder / "transforms.json").read_text())
    for frame in meta["frames"]:
        del frame["depth_file_path"]
    (tmp_path / "transforms.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match="no depth maps"):
        depth_correspondences(tmp_path, CorrespondenceConfig())


def test_views_that_share_too_little_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="no two of its 7 images share 5000 points"):
        depth_correspondences(folder, CorrespondenceConfig(min_points=5000))
