"""A ball in a room whose colour is known at every point, photographed through any lens: pixels can be checked against
the cameras that a reader made of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from helpers.scene_files import FLIP, quaternion, write_json
from latentfields.cameras import Cameras, look_at
from latentfields.scenes.readers.capture import PINHOLE, Lens
from latentfields.scenes.readers.undistort import distort
from latentfields.scenes.scene import Scene

ROOM = 3.0
BALL = 0.9
WAVES = torch.tensor([[2.1, 0.3, -0.7], [-0.4, 1.9, 0.8], [0.9, -0.6, 2.3]], dtype=torch.float64)
PHASES = torch.tensor([0.3, 1.1, 2.2], dtype=torch.float64)
SAMPLES = 2


@dataclass(frozen=True)
class Photograph:
    """A pose in OpenGL axes, the lens, and the name of the file."""

    pose: np.ndarray
    lens: Lens
    name: str


def pinhole(width: int, height: int, focal: float) -> Lens:
    return Lens(width=width, height=height, fx=focal, fy=focal, cx=width / 2, cy=height / 2)


def ring_poses(count: int) -> np.ndarray:
    """(N, 4, 4) poses inside the room that look at the ball."""
    angle = torch.arange(count, dtype=torch.float64) * (2 * torch.pi / count)
    eye = torch.stack([2.5 * angle.cos(), 2.5 * angle.sin(), 0.8 * (3 * angle).cos()], dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return look_at(eye, torch.zeros(3, dtype=torch.float64), up).numpy()


def room_colors(origins: Tensor, directions: Tensor) -> Tensor:
    """(..., 3) colours in [0, 1] along unit rays (..., 3) that start in the room, float64."""
    half_b = (origins * directions).sum(-1)
    discriminant = half_b**2 - origins.square().sum(-1) + BALL**2
    ball = torch.where(discriminant > 0, -half_b - discriminant.clamp(min=0).sqrt(), -1.0)
    crossings = torch.where(directions == 0, torch.inf, (directions.sign() * ROOM - origins) / directions)
    wall = crossings.amin(-1)
    points = origins + torch.where(ball > 0, ball, wall)[..., None] * directions
    return 0.5 + 0.45 * torch.sin(points @ WAVES.T + PHASES)


def photographed(photograph: Photograph) -> np.ndarray:
    """(H, W, 3) uint8: what the lens shows, distortion and all."""
    lens = photograph.lens
    offsets = (torch.arange(SAMPLES, dtype=torch.float64) + 0.5) / SAMPLES
    columns = (torch.arange(lens.width)[:, None] + offsets).flatten()
    rows = (torch.arange(lens.height)[:, None] + offsets).flatten()
    stored = torch.stack(
        torch.meshgrid((columns - lens.cx) / lens.fx, (rows - lens.cy) / lens.fy, indexing="xy"), dim=-1
    )
    ideal = stored.clone()
    # Where the lens puts it moves by nearly as much as the position itself.
    for _ in range(0 if lens.distortion == PINHOLE else 30):
        off = distort(ideal, lens.distortion) - stored
        ideal = ideal - 0.7 * off
        if float(off.abs().max()) < 1e-7:  # a hundred thousandth of a pixel
            break
    local = torch.stack([ideal[..., 0], -ideal[..., 1], -torch.ones_like(ideal[..., 0])], dim=-1)
    pose = torch.from_numpy(photograph.pose)
    directions = torch.nn.functional.normalize(local @ pose[:3, :3].T, dim=-1)
    colors = room_colors(pose[:3, 3].expand_as(directions), directions)
    blocks = colors.view(lens.height, SAMPLES, lens.width, SAMPLES, 3).mean((1, 3))
    return (255 * blocks).round().clamp(0, 255).to(torch.uint8).numpy()


def save_photographs(folder: Path, photographs: list[Photograph]) -> None:
    for photograph in photographs:
        path = folder / photograph.name
        path.parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {"quality": 98, "subsampling": 0} if path.suffix == ".jpg" else {}
        Image.fromarray(photographed(photograph)).save(path, **options)


def write_room_nerfstudio(folder: Path, photographs: list[Photograph], **about: object) -> Path:
    """A Nerfstudio folder, a lens for every frame; `about` are more fields of the file."""
    save_photographs(folder, photographs)
    frames = [
        {
            "file_path": photograph.name,
            "transform_matrix": photograph.pose.tolist(),
            "w": photograph.lens.width,
            "h": photograph.lens.height,
            "fl_x": photograph.lens.fx,
            "fl_y": photograph.lens.fy,
            "cx": photograph.lens.cx,
            "cy": photograph.lens.cy,
        }
        for photograph in photographs
    ]
    write_json(folder / "transforms.json", {"frames": frames, **about})
    return folder


def write_room_colmap(
    folder: Path, photographs: list[Photograph], *, model: str = "PINHOLE", coefficients: str = ""
) -> Path:
    """A COLMAP folder in text without points; `coefficients` follow the four numbers of a pinhole."""
    save_photographs(folder, photographs)
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True)
    cameras, images = [], []
    for index, photograph in enumerate(photographs, start=1):
        lens = photograph.lens
        numbers = f"{lens.fx} {lens.fy} {lens.cx} {lens.cy} {coefficients}"
        cameras.append(f"{index} {model} {lens.width} {lens.height} {numbers}".strip())
        world_to_camera = np.linalg.inv(photograph.pose @ FLIP)
        values = [*quaternion(world_to_camera[:3, :3]), *world_to_camera[:3, 3]]
        pose = " ".join(repr(float(value)) for value in values)
        images.append(f"{index} {pose} {index} {photograph.name.removeprefix('images/')}\n")
    (sparse / "cameras.txt").write_text("\n".join(cameras) + "\n")
    (sparse / "images.txt").write_text("\n".join(images) + "\n")
    (sparse / "points3D.txt").write_text("")
    return folder


def color_errors(scene: Scene) -> list[float]:
    """For every view, how far its colours are from what its own camera must see: mean difference, of 255."""
    to_world = torch.linalg.inv(scene.world_to_scene)
    cameras: Cameras = replace(
        scene.cameras,
        camera_to_world=scene.cameras.camera_to_world.double(),
        focal=scene.cameras.focal.double(),
        principal=scene.cameras.principal.double(),
    ).transformed(to_world)
    colors = torch.zeros(1, dtype=torch.float64)
    offsets = (torch.arange(3, dtype=torch.float64) + 0.5) / 3
    for offset in torch.cartesian_prod(offsets, offsets):
        rays = cameras.rays(offsets=offset)
        colors = colors + room_colors(rays.origins.expand_as(rays.directions), rays.directions) / 9
    difference = (scene.pixels.permute(0, 2, 3, 1) / 255.0 - colors).abs()
    return [float(255 * view.mean()) for view in difference]
