"""COLMAP folders: images/ and a sparse model in sparse/0, sparse or colmap/sparse/0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from latentfields.errors import InputError
from latentfields.scenes.images import image_size
from latentfields.scenes.readers.capture import (
    Array,
    Capture,
    Distortion,
    Lens,
    PosedImage,
    checked_lens,
    every_eighth,
    existing_file,
    path_inside,
    rigid_pose,
)
from latentfields.scenes.readers.colmap import binary as colmap_binary
from latentfields.scenes.readers.colmap import text as colmap_text
from latentfields.scenes.readers.colmap.model import ColmapCamera, ColmapImage
from latentfields.scenes.readers.transforms_json import OPENCV_TO_OPENGL

MODEL_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0")
"""Where a sparse model is looked for, in this order."""
IMAGE_FOLDER = "images"


def model_folder(folder: Path) -> Path | None:
    """The folder of the sparse model of a data set, or None."""
    for name in MODEL_FOLDERS:
        if any((folder / name / file).is_file() for file in ("cameras.bin", "cameras.txt")):
            return folder / name
    return None


def read_colmap(folder: Path) -> Capture:
    """The capture of the registered images of a COLMAP folder, ordered by name; every eighth is a test view.

    Binary files are preferred to text files. Raises InputError naming the file and field at fault.
    """
    model = model_folder(folder)
    if model is None:
        raise InputError(
            folder, f"has no sparse model; looked for cameras.bin or .txt in {', '.join(MODEL_FOLDERS)}"
        )
    suffix = ".bin" if (model / "cameras.bin").is_file() else ".txt"
    files = [model / f"{name}{suffix}" for name in ("cameras", "images", "points3D")]
    for file in files:
        existing_file(file, folder, "sparse model")
    parser = colmap_binary if suffix == ".bin" else colmap_text
    cameras, images, points = (
        parser.read_cameras(files[0]),
        parser.read_images(files[1]),
        parser.read_points(files[2]),
    )
    if not images:
        raise InputError(files[1], "has no registered images")
    views = sorted((_posed(folder, files[1], image, cameras) for image in images), key=lambda view: view.name)
    return Capture(
        folder=folder,
        views=views,
        splits=every_eighth(files[1], len(views)),
        points=points.positions,
        point_colors=points.colors,
    )


def _posed(folder: Path, source: Path, image: ColmapImage, cameras: Mapping[int, ColmapCamera]) -> PosedImage:
    where = f"image {image.name[:80]!r}"
    if image.camera_id not in cameras:
        raise InputError(source, f"{where}: refers to camera {image.camera_id}, which the model lacks")
    camera = cameras[image.camera_id]
    file = existing_file(path_inside(folder, source, where, f"{IMAGE_FOLDER}/{image.name}"), source, where)
    width, height = image_size(file)
    if (width, height) != (camera.width, camera.height):
        raise InputError(
            file, f"is {width}x{height}, but camera {image.camera_id} is {camera.width}x{camera.height}"
        )
    values = camera.parameters
    lens = Lens(
        width=width,
        height=height,
        fx=values.get("fx", values.get("f", 0.0)),
        fy=values.get("fy", values.get("f", 0.0)),
        cx=values["cx"],
        cy=values["cy"],
        distortion=Distortion(**{name: values.get(name, 0.0) for name in ("k1", "k2", "p1", "p2")}),
    )
    return PosedImage(
        name=file.relative_to(folder.resolve()).as_posix(),
        image=file,
        pose=camera_to_world(source, where, image) @ OPENCV_TO_OPENGL,
        lens=checked_lens(source, f"camera {image.camera_id}", lens),
    )


def camera_to_world(source: Path, where: str, image: ColmapImage) -> Array:
    """The (4, 4) pose of an image, x right, y down, z forward. Raises InputError naming `where` unless it is rigid."""
    norm = math.hypot(*image.quaternion)
    if not abs(norm - 1) < 1e-2:
        raise InputError(source, f"{where}: expected a unit quaternion, got {image.quaternion.tolist()}")
    w, x, y, z = image.quaternion / norm
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    world_to_camera = rigid_pose(source, where, np.column_stack([rotation, image.translation]))
    pose = np.eye(4)
    pose[:3, :3] = world_to_camera[:3, :3].T
    pose[:3, 3] = -pose[:3, :3] @ world_to_camera[:3, 3]
    return pose
