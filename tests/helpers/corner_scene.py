"""A textured corner of a room, traced exactly: every point of its three walls is visible from everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentfields.cameras import Cameras, look_at
from latentfields.scenes.depth_files import depth_unit, write_depth


def corner_cameras(count: int, *, width: int = 64, height: int = 48) -> Cameras:
    """An arc of cameras, float32, that look at a place near the corner, which is the origin; z is up."""
    turn = torch.linspace(0.25, 0.75, count) * torch.pi / 2
    rise = 0.5 + 0.25 * torch.sin(7 * turn)
    eye = 3.0 * torch.stack([rise.cos() * turn.cos(), rise.cos() * turn.sin(), rise.sin()], dim=1)
    return Cameras(
        camera_to_world=look_at(eye, torch.full((3,), 0.5), torch.tensor([0.0, 0.0, 1.0])),
        focal=torch.full((count, 2), 1.2 * width),
        principal=torch.tensor([[width / 2, height / 2]]).repeat(count, 1),
        width=width,
        height=height,
    )


def surface_points(cameras: Cameras, positions: Tensor) -> Tensor:
    """Where the rays through (N, K, 2) positions leave the room: (N, K, 3)."""
    rays = cameras.rays_at(positions)
    distances = torch.where(rays.directions < 0, -rays.origins / rays.directions, torch.inf)
    return rays.origins + rays.directions * distances.min(dim=-1, keepdim=True).values


def pictures(cameras: Cameras, *, samples: int = 2, detail: float = 12.0) -> np.ndarray:
    """(N, H, W, 3) uint8, antialiased; `detail` is in radians per unit of length."""
    generator = torch.Generator().manual_seed(0)
    frequencies = detail * torch.randn(3, 90, generator=generator)
    phases = 6 * torch.rand(90, generator=generator)
    colours = torch.randn(90, 3, generator=generator)

    def texture(points: Tensor) -> Tensor:
        # Few points at a time, whose waves stay in the processor's cache.
        parts = points.flatten(0, 1).split(1024)
        return torch.cat([torch.addmm(phases, part, frequencies).sin_() @ colours for part in parts])

    total = torch.zeros(())
    for offset in ((x, y) for x in range(samples) for y in range(samples)):
        points = surface_points(cameras, pixel_grid(cameras) + (torch.tensor(offset) + 0.5) / samples - 0.5)
        total = total + 0.5 + 0.025 * texture(points)
    values = (255 * total / samples**2).round().clamp(0, 255).to(torch.uint8)
    return values.view(len(cameras), cameras.height, cameras.width, 3).numpy()


def pixel_grid(cameras: Cameras) -> Tensor:
    """(N, H * W, 2) centres of all pixels."""
    rows, columns = torch.meshgrid(torch.arange(cameras.height), torch.arange(cameras.width), indexing="ij")
    return (torch.stack([columns, rows], dim=-1).flatten(0, 1) + 0.5).expand(len(cameras), -1, 2)


def write_pictures(folder: Path, cameras: Cameras, *, detail: float = 12.0) -> Path:
    folder.mkdir(parents=True)
    for index, pixels in enumerate(pictures(cameras, detail=detail)):
        Image.fromarray(pixels).save(folder / f"view_{index:02d}.png")
    return folder


def write_depth_scene(folder: Path, cameras: Cameras) -> Path:
    """The nerfstudio layout with depth maps."""
    write_pictures(folder / "images", cameras)
    (folder / "depth").mkdir()
    points = surface_points(cameras, pixel_grid(cameras))
    unit, frames = depth_unit(10.0), []
    for index in range(len(cameras)):
        _, z = cameras[index : index + 1].project(points[index])
        name = f"depth/view_{index:02d}.png"
        write_depth(folder / name, z.view(cameras.height, cameras.width).numpy(), unit=unit)
        frames.append(
            {
                "file_path": f"images/view_{index:02d}.png",
                "transform_matrix": cameras.camera_to_world[index].tolist(),
                "depth_file_path": name,
                "depth_unit_scale_factor": unit,
            }
        )
    focal, principal = cameras.focal[0].tolist(), cameras.principal[0].tolist()
    lens = {"fl_x": focal[0], "fl_y": focal[1], "cx": principal[0], "cy": principal[1]}
    size = {"w": cameras.width, "h": cameras.height}
    (folder / "transforms.json").write_text(json.dumps({**lens, **size, "frames": frames}))
    return folder


def write_colmap_scene(folder: Path, cameras: Cameras, *, points: int = 60) -> Path:
    """images/ and a text model in sparse/ whose points are spread over the walls; each image misses one in five."""
    write_pictures(folder / "images", cameras)
    (folder / "sparse").mkdir()
    generator = np.random.default_rng(0)
    world = generator.uniform(0, 0.8, (points, 3))
    world[np.arange(points), generator.integers(0, 3, points)] = 0.0
    positions, _ = cameras.project(torch.from_numpy(world).float())
    focal, principal = cameras.focal[0].tolist(), cameras.principal[0].tolist()
    numbers = " ".join(map(str, (*focal, *principal)))
    (folder / "sparse" / "cameras.txt").write_text(f"1 PINHOLE {cameras.width} {cameras.height} {numbers}\n")
    lines = []
    for index, pose in enumerate(cameras.camera_to_world.double().numpy()):
        world_to_camera = np.linalg.inv(pose @ np.diag([1.0, -1.0, -1.0, 1.0]))
        w, x, y, z = _quaternion(world_to_camera[:3, :3])
        lines.append(
            f"{index + 1} {w} {x} {y} {z} {' '.join(map(str, world_to_camera[:3, 3]))} 1 view_{index:02d}.png"
        )
        seen = [
            f"{column} {row} {point if (point + index) % 5 else -1}"
            for point, (column, row) in enumerate(positions[index].tolist())
        ]
        lines.append(" ".join(seen))
    (folder / "sparse" / "images.txt").write_text("\n".join(lines) + "\n")
    rows = [f"{i} {x} {y} {z} 9 9 9 0.1" for i, (x, y, z) in enumerate(world)]
    (folder / "sparse" / "points3D.txt").write_text("\n".join(rows) + "\n")
    return folder


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """w, x, y, z of a rotation matrix whose angle is not close to 180 degrees."""
    w = np.sqrt(max(1 + np.trace(rotation), 1e-12)) / 2
    axis = rotation - rotation.T
    return np.array([w, *(np.array([axis[2, 1], axis[0, 2], axis[1, 0]]) / (4 * w))])
