from pathlib import Path

import pytest
import torch

from helpers.room_scene import BALL, ROOM, Photograph, photographed, pinhole, write_room_nerfstudio
from helpers.scene_files import save_picture
from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.scenes import load_scene
from latentfields.scenes.plane_sweep import shared_points

LENS = pinhole(96, 72, 80.0)


def survey(*, side: int = 5, origin: float = 0.0) -> torch.Tensor:
    """Poses of a flight that looks straight down at the ball and the floor, OpenGL axes."""
    grid = torch.linspace(-1.2, 1.2, side, dtype=torch.float64)
    poses = torch.eye(4, dtype=torch.float64).repeat(side * side, 1, 1)
    poses[:, :2, 3] = torch.cartesian_prod(grid, grid) + origin
    poses[:, 2, 3] = 2.5
    return poses


def cameras_of(poses: torch.Tensor) -> Cameras:
    count = len(poses)
    return Cameras(
        camera_to_world=poses,
        focal=torch.tensor([[LENS.fx, LENS.fy]], dtype=torch.float64).repeat(count, 1),
        principal=torch.tensor([[LENS.cx, LENS.cy]], dtype=torch.float64).repeat(count, 1),
        width=LENS.width,
        height=LENS.height,
    )


def pictures_of(poses: torch.Tensor) -> torch.Tensor:
    shown = [torch.from_numpy(photographed(Photograph(pose.numpy(), LENS, ""))) for pose in poses]
    return torch.stack(shown).permute(0, 3, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("origin", [0.0, 4e6])
def test_points_lie_on_the_surfaces(origin: float) -> None:
    poses = survey()
    points = shared_points(
        cameras_of(survey(origin=origin)), pictures_of(poses), views=torch.arange(len(poses))
    )
    assert points is not None
    points[:, :2] -= origin
    radius = points.norm(dim=-1)
    off = torch.minimum((radius - BALL).abs(), (points.abs().amax(dim=-1) - ROOM).abs())
    # Planes are 7 % apart, at a depth of 5.5.
    assert float(off.median()) < 0.2
    assert float((off < 0.8).double().mean()) > 0.9
    assert float((radius < BALL + 0.3).double().mean()) > 0.05
    assert len(points) > 1000


@pytest.mark.slow
def test_a_survey_without_points_is_placed(tmp_path: Path) -> None:
    photographs = [
        Photograph(pose.numpy(), LENS, f"images/{i:02d}.png") for i, pose in enumerate(survey(side=4))
    ]
    scene = load_scene(write_room_nerfstudio(tmp_path, photographs))
    corners = torch.linalg.inv(scene.world_to_scene) @ torch.tensor([[-1.0] * 3 + [1], [1.0] * 4]).double().T
    (low, high), half_side = corners[:3].T, 0.5 * float(corners[0, 1] - corners[0, 0])
    # Floor and ball are in the cube, which is not much larger than the room.
    assert float(low[2]) < -ROOM + 0.1
    assert float(high[2]) > BALL
    assert (low[:2] < -2).all()
    assert (high[:2] > 2).all()
    assert half_side < 1.5 * ROOM
    assert scene.near < scene.far


def noise(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 72, 96), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "flat", "one place"])
def test_pictures_that_share_nothing(kind: str) -> None:
    poses = survey(side=3)
    pixels = torch.full((9, 3, 72, 96), 90, dtype=torch.uint8) if kind == "flat" else noise(9)
    if kind == "one place":
        poses[:, :3, 3] = 0
    assert shared_points(cameras_of(poses), pixels, views=torch.arange(9)) is None
    assert shared_points(cameras_of(poses), pixels, views=torch.arange(1)) is None


def test_a_survey_that_shares_nothing_is_refused_with_advice(tmp_path: Path) -> None:
    photographs = [
        Photograph(pose.numpy(), LENS, f"images/{i:02d}.png") for i, pose in enumerate(survey(side=3))
    ]
    folder = write_room_nerfstudio(tmp_path, photographs)
    for file, pixels in zip(sorted((folder / "images").iterdir()), noise(9), strict=True):
        save_picture(file, pixels.permute(1, 2, 0).numpy())
    with pytest.raises(
        InputError, match=r"its cameras all look the same way, there are no sparse points.*add points"
    ):
        load_scene(folder)
