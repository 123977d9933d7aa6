"""`python -m benchmarks.room MESHES... --pictures FOLDER --out OUT`: photographs of a furnished room, and their poses.

Somebody stands in one corner and moves a camera about: OUT/photographs is what `latentfields scenes capture` takes,
OUT is a scene folder with the poses that are known, for `python -m benchmarks.poses`. Walls and floor are covered
with pictures. Lengths in metres, z up, the floor at 0.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from latentfields.cameras import Cameras, look_at
from latentfields.export.cameras import transforms_json
from latentfields.files import write_json
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.meshes import (
    Material,
    Mesh,
    concatenate,
    moved_normals,
    moved_vertices,
    normalised,
)
from latentfields.scenes.objects.rendering import MeshRenderer

WIDTH, DEPTH, HEIGHT = 6.0, 5.0, 2.8
"""Of the room; its middle is above the origin."""
FIELD_OF_VIEW = 62.0
"""Degrees, across."""
TILE, GAP = 192, 24
"""Pixels of a picture on a wall, and around it."""

Pixels = npt.NDArray[np.uint8]


def main(line: Sequence[str] | None = None) -> int:
    """Write the photographs; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.room", description=__doc__)
    parser.add_argument("meshes", nargs="+", type=Path, help="what stands in the room")
    parser.add_argument("--pictures", type=Path, required=True, help="folder of JPEG files for the walls")
    parser.add_argument("--views", type=int, default=40, help="photographs (default: 40)")
    parser.add_argument("--size", type=int, default=640, help="pixels of their longer side (default: 640)")
    parser.add_argument("--seed", type=int, default=0, help="of where things stand (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    arguments = parser.parse_args(line)
    random = np.random.default_rng(arguments.seed)
    room = concatenate("room", [*walls(arguments.pictures, random), *furniture(arguments.meshes, random)])
    cameras = walk(arguments.views, width=arguments.size, height=3 * arguments.size // 4)
    write(room, cameras, arguments.out)
    return 0


def walls(pictures: Path, random: np.random.Generator) -> list[Mesh]:
    """Four walls, a floor and a ceiling, seen from within."""
    w, d, h = WIDTH / 2, DEPTH / 2, HEIGHT
    files = sorted(pictures.glob("*.jpg"))
    corners = (
        ((-w, d, 0), (w, d, 0), (w, d, h), (-w, d, h)),
        ((w, d, 0), (w, -d, 0), (w, -d, h), (w, d, h)),
        ((w, -d, 0), (-w, -d, 0), (-w, -d, h), (w, -d, h)),
        ((-w, -d, 0), (-w, d, 0), (-w, d, h), (-w, -d, h)),
        ((-w, -d, 0), (w, -d, 0), (w, d, 0), (-w, d, 0)),
        ((-w, d, h), (w, d, h), (w, -d, h), (-w, -d, h)),
    )
    return [_face(np.array(square, np.float32), collage(files, random)) for square in corners]


def _face(corners: npt.NDArray[np.float32], texture: Pixels) -> Mesh:
    return Mesh(
        name="wall",
        vertices=corners,
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        normals=np.zeros((4, 3), np.float32),
        uv=np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32),
        colors=np.ones((4, 4), np.float32),
        material_of_face=np.zeros(2, np.int32),
        materials=(Material(texture=texture),),
    )


def collage(files: list[Path], random: np.random.Generator, *, columns: int = 5, rows: int = 3) -> Pixels:
    """Pictures that hang in rows on wallpaper, RGBA."""
    side = TILE + 2 * GAP
    base, noise = random.uniform(120, 220, 3), random.normal(0, 9, (rows * side, columns * side, 1))
    sheet = np.clip(base + noise, 0, 255).astype(np.uint8)
    for number in range(columns * rows):
        picture = Image.open(files[random.integers(len(files))]).convert("RGB").resize((TILE, TILE))
        top, left = number // columns * side + GAP, number % columns * side + GAP
        sheet[top : top + TILE, left : left + TILE] = np.asarray(picture)
    return np.concatenate([sheet, np.full((*sheet.shape[:2], 1), 255, np.uint8)], axis=-1)


def furniture(files: list[Path], random: np.random.Generator) -> list[Mesh]:
    """Every mesh on the floor, around the middle but where the cameras are, turned at random."""
    placed = []
    for number, file in enumerate(files):
        mesh = normalised(load_mesh(file), radius=random.uniform(0.55, 0.9))
        turn, angle = 2 * math.pi * random.random(), math.pi * (1.15 * number / max(1, len(files) - 1) - 0.3)
        place = np.eye(4)
        place[:2, :2] = [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        # A turn about z leaves the lowest vertex as low as it is.
        place[:3, 3] = 1.6 * math.cos(angle), 1.3 * math.sin(angle), -mesh.vertices[:, 2].min()
        vertices = moved_vertices(mesh.vertices, place).astype(np.float32)
        placed.append(replace(mesh, vertices=vertices, normals=moved_normals(mesh.normals, place)))
    return placed


def walk(views: int, *, width: int, height: int) -> Cameras:
    """Cameras at eye level along two arcs in one corner of the room, which look at its opposite half."""
    share = torch.arange(views) / views
    angle = math.pi * (1.0 + 0.5 * share)
    radius = 2.0 + 0.25 * torch.where(torch.arange(views) % 2 == 0, 1.0, -1.0)
    level = 1.4 + 0.35 * torch.sin(4 * math.pi * share)
    eyes = torch.stack([radius * angle.cos() * 1.15, radius * angle.sin(), level], dim=-1)
    poses = look_at(eyes, torch.tensor([0.3, 0.3, 0.8]), torch.tensor([0.0, 0.0, 1.0]))
    focal = width / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2))
    centre = torch.tensor([[width / 2, height / 2]]).expand(views, 2)
    return Cameras(poses, torch.full((views, 2), focal), centre, width, height)


def write(room: Mesh, cameras: Cameras, out: Path) -> None:
    """The photographs, as JPEG, and their cameras as transforms.json."""
    (out / "photographs").mkdir(parents=True)
    files = [f"photographs/{number:03}.jpg" for number in range(len(cameras))]
    for file, view in zip(files, MeshRenderer(room).render(cameras, samples=2), strict=True):
        Image.fromarray(view.rgba[..., :3]).save(out / file, quality=95)
    write_json(out / "transforms.json", transforms_json(cameras, files))


if __name__ == "__main__":
    sys.exit(main())
