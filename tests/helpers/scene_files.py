"""A coloured sphere seen by a ring of cameras, and writers of every format the readers know."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from latentfields.cameras import Cameras, look_at

CENTER = (3.0, -2.0, 10.0)
RADIUS = 0.5
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


@dataclass(frozen=True)
class SphereViews:
    """What the files describe: cameras in the world and straight-alpha RGBA pictures."""

    cameras: Cameras
    rgba: np.ndarray
    """(N, H, W, 4) uint8."""
    names: tuple[str, ...]

    @property
    def poses(self) -> np.ndarray:
        return self.cameras.camera_to_world.numpy()


def ring_cameras(count: int = 12, *, width: int = 48, height: int = 40, focal: float = 60.0) -> Cameras:
    """Cameras around the sphere, some above and some below, float64."""
    angle = torch.arange(count, dtype=torch.float64) * (2 * torch.pi / count)
    eye = torch.stack([3 * angle.cos(), 3 * angle.sin(), (3 * angle).sin()], dim=-1)
    center = torch.tensor(CENTER, dtype=torch.float64)
    return Cameras(
        camera_to_world=look_at(center + eye, center, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)),
        focal=torch.tensor([[focal, focal * 1.1]], dtype=torch.float64).repeat(count, 1),
        principal=torch.tensor([[width / 2 + 1.5, height / 2 - 0.5]], dtype=torch.float64).repeat(count, 1),
        width=width,
        height=height,
    )


def sphere_hit(
    cameras: Cameras, *, center: tuple[float, ...] = CENTER, radius: float = RADIUS
) -> torch.Tensor:
    """(N, H, W) distance along the ray through each pixel's centre to a sphere, infinite beside it."""
    rays = cameras.to(torch.float32).rays()
    offset = rays.origins - torch.tensor(center)
    half_b = (offset * rays.directions).sum(-1)
    discriminant = half_b**2 - (offset**2).sum(-1) + radius**2
    distance = -half_b - discriminant.clamp(min=0).sqrt()
    return torch.where(discriminant > 0, distance, torch.inf)


def sphere_views(cameras: Cameras | None = None) -> SphereViews:
    cameras = ring_cameras() if cameras is None else cameras
    distance = sphere_hit(cameras)
    hit = distance.isfinite()
    rays = cameras.to(torch.float32).rays()
    surface = rays.origins + rays.directions * torch.where(hit, distance, 0.0)[..., None]
    normal = (surface - torch.tensor(CENTER)) / RADIUS
    rgb = torch.where(hit[..., None], 127.5 + 120 * normal, 0.0)
    rgba = torch.cat([rgb, 255.0 * hit[..., None]], dim=-1).round().to(torch.uint8).numpy()
    names = tuple(f"images/view_{index:02d}.png" for index in range(len(cameras)))
    return SphereViews(cameras=cameras, rgba=rgba, names=names)


def save_picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def save_pictures(folder: Path, views: SphereViews) -> None:
    for name, pixels in zip(views.names, views.rgba, strict=True):
        save_picture(folder / name, pixels)


def intrinsics(cameras: Cameras, index: int) -> dict[str, float]:
    (fx, fy), (cx, cy) = cameras.focal[index].tolist(), cameras.principal[index].tolist()
    return {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": cameras.width, "h": cameras.height}


def frames(views: SphereViews, *, opencv: bool = False, with_lens: bool = True) -> list[dict[str, object]]:
    return [
        {
            "file_path": name,
            "transform_matrix": (pose @ FLIP if opencv else pose).tolist(),
            **(intrinsics(views.cameras, index) if with_lens else {}),
        }
        for index, (name, pose) in enumerate(zip(views.names, views.poses, strict=True))
    ]


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def edit_json(path: Path, **changes: object) -> None:
    """Change fields of the file, or of its first frame where the name starts with `frame_`."""
    value = json.loads(path.read_text())
    for name, change in changes.items():
        if name.startswith("frame_"):
            value["frames"][0][name.removeprefix("frame_")] = change
        else:
            value[name] = change
    path.write_text(json.dumps(value))


def write_nerfstudio(folder: Path, views: SphereViews) -> Path:
    save_pictures(folder, views)
    write_json(folder / "transforms.json", {"camera_model": "OPENCV", "frames": frames(views)})
    return folder


def write_igae(folder: Path, views: SphereViews) -> Path:
    save_pictures(folder, views)
    write_json(folder / "transforms_opencv.json", {"frames": frames(views, opencv=True)})
    return folder


def write_blender(folder: Path, views: SphereViews, *, parts: dict[str, slice]) -> Path:
    """One file per split; the views must have square pixels and a centred principal point."""
    save_pictures(folder, views)
    angle = 2 * np.arctan(0.5 * views.cameras.width / float(views.cameras.focal[0, 0]))
    listed = [
        {**frame, "file_path": f"./{str(frame['file_path']).removesuffix('.png')}"}
        for frame in frames(views, with_lens=False)
    ]
    for split, part in parts.items():
        file = folder / f"transforms_{split}.json"
        write_json(file, {"camera_angle_x": angle, "frames": listed[part]})
    return folder


@dataclass(frozen=True)
class Points:
    """Sparse points for a COLMAP model."""

    positions: np.ndarray
    """(P, 3)."""
    colors: np.ndarray
    """(P, 3) uint8."""


def sphere_points(count: int = 200) -> Points:
    generator = np.random.default_rng(0)
    direction = generator.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    colors = generator.integers(0, 256, size=(count, 3)).astype(np.uint8)
    return Points(positions=np.array(CENTER) + RADIUS * direction, colors=colors)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """w, x, y, z of a rotation matrix, from the eigenvector that it defines."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    return np.linalg.eigh(symmetric)[1][:, -1]


def colmap_pose(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera quaternion and translation of a camera-to-world pose in OpenGL axes."""
    world_to_camera = np.linalg.inv(pose @ FLIP)
    return quaternion(world_to_camera[:3, :3]), world_to_camera[:3, 3]


def lens_parameters(cameras: Cameras, *, distortion: tuple[float, ...] = ()) -> list[float]:
    return [*cameras.focal[0].tolist(), *cameras.principal[0].tolist(), *distortion]


def write_colmap_binary(
    folder: Path, views: SphereViews, points: Points, *, model: int = 1, parameters: list[float] | None = None
) -> Path:
    """images/ and sparse/0 with .bin files; `model` is COLMAP's number, 1 a PINHOLE."""
    save_pictures(folder, views)
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True, exist_ok=True)
    values = lens_parameters(views.cameras) if parameters is None else parameters
    size = (views.cameras.width, views.cameras.height)
    camera = struct.pack("<QiiQQ", 1, 7, model, *size) + struct.pack(f"<{len(values)}d", *values)
    (sparse / "cameras.bin").write_bytes(camera)
    records = [struct.pack("<Q", len(views.names))]
    # Files list images in the order of registration, not by name.
    for index, (name, pose) in reversed(list(enumerate(zip(views.names, views.poses, strict=True)))):
        rotation, translation = colmap_pose(pose)
        records.append(struct.pack("<I7dI", index + 1, *rotation, *translation, 7))
        records.append(name.removeprefix("images/").encode() + b"\0")
        records.append(struct.pack("<Q", 2) + 2 * struct.pack("<ddq", 1.0, 2.0, -1))
    (sparse / "images.bin").write_bytes(b"".join(records))
    records = [struct.pack("<Q", len(points.positions))]
    for index, (position, color) in enumerate(zip(points.positions, points.colors, strict=True)):
        records.append(struct.pack("<Q3d3BdQ", index, *position, *color.tolist(), 0.3, 1))
        records.append(struct.pack("<II", 1, 0))
    (sparse / "points3D.bin").write_bytes(b"".join(records))
    return folder


def write_colmap_text(folder: Path, views: SphereViews, points: Points) -> Path:
    """images/ and sparse/ with .txt files; the first image has no observations: its second line is empty."""
    save_pictures(folder, views)
    sparse = folder / "sparse"
    sparse.mkdir(parents=True, exist_ok=True)
    values = " ".join(repr(value) for value in lens_parameters(views.cameras))
    cameras = f"# Camera list\n7 PINHOLE {views.cameras.width} {views.cameras.height} {values}\n"
    (sparse / "cameras.txt").write_text(cameras)
    lines = ["# Image list"]
    for index, (name, pose) in enumerate(zip(views.names, views.poses, strict=True)):
        rotation, translation = colmap_pose(pose)
        numbers = " ".join(repr(float(value)) for value in (*rotation, *translation))
        lines.append(f"{index + 1} {numbers} 7 {name.removeprefix('images/')}")
        lines.append("" if index == 0 else "1.0 2.0 -1 5.0 6.0 12")
    (sparse / "images.txt").write_text("\n".join(lines) + "\n")
    lines = ["# Points"]
    for index, (position, color) in enumerate(zip(points.positions, points.colors, strict=True)):
        lines.append(
            f"{index} {' '.join(repr(float(v)) for v in position)} {' '.join(map(str, color))} 0.3 1 0"
        )
    (sparse / "points3D.txt").write_text("\n".join(lines) + "\n")
    return folder
