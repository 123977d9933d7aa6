"""COLMAP folders: images/ and a sparse model in sparse/0, sparse, colmap/sparse/0, or under another number."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import (
    Array,
    Capture,
    Distortion,
    Lens,
    PosedImage,
    checked_lens,
    every_eighth,
    existing_file,
    existing_picture,
    fitted_lens,
    listed_views,
    rigid_pose,
)
from latentfields.scenes.readers.colmap import binary as colmap_binary
from latentfields.scenes.readers.colmap import text as colmap_text
from latentfields.scenes.readers.colmap.model import (
    ColmapCamera,
    ColmapImage,
    ColmapPoints,
    UnreadCamera,
    camera_of_image,
    distortion_kind,
)
from latentfields.scenes.readers.transforms_json import OPENCV_TO_OPENGL

MODEL_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0")
"""Where a sparse model is looked for, in this order, and in the numbered folders beside 0."""
IMAGE_FOLDERS = ("images", "input")
"""Where the pictures are; the first that there is. Without any they lie in the data set's folder itself."""


def image_folder(folder: Path) -> str:
    """The part of IMAGE_FOLDERS that a data set has, or an empty one."""
    return next((name for name in IMAGE_FOLDERS if (folder / name).is_dir()), "")


def model_folders(folder: Path) -> list[Path]:
    """The folders of all sparse models of a data set, in the order of MODEL_FOLDERS, those with other numbers last."""
    numbered = [
        path
        for parent in ("sparse", "colmap/sparse")
        for path in sorted((folder / parent).glob("[0-9]*"), key=lambda path: (len(path.name), path.name))
    ]
    candidates = dict.fromkeys([*(folder / name for name in MODEL_FOLDERS), *numbered])
    return [path for path in candidates if _is_model(path)]


def _is_model(folder: Path) -> bool:
    return any((folder / file).is_file() for file in ("cameras.bin", "cameras.txt"))


def chosen_model(folder: Path, *, follow_links: bool = False) -> Path:
    """The folder of the sparse model of a data set.

    COLMAP leaves several where it could not join all pictures: the one with the most pictures is taken, and a warning
    says so. Raises InputError when there is none, and when there are several and one of them is damaged.
    """
    found = model_folders(folder)
    if not found:
        raise InputError(
            folder, f"has no sparse model; looked for cameras.bin or .txt in {', '.join(MODEL_FOLDERS)}"
        )
    if len(found) == 1:
        return found[0]
    counts = [_registered(model, follow_links=follow_links) for model in found]
    model = found[counts.index(max(counts))]
    warnings.warn(
        f"{folder}: has {len(found)} sparse models; {model.relative_to(folder)}, the one with the most pictures "
        f"({max(counts)}), is read",
        stacklevel=2,
    )
    return model


def model_elsewhere(folder: Path, model: Path) -> Path:
    """The folder of a sparse model that was asked for: in the data set's `folder`, or as it is named.

    Raises InputError when it holds none.
    """
    for candidate in (folder / model, model):
        if _is_model(candidate):
            return candidate
    raise InputError(model, "has no sparse model; expected cameras.bin or cameras.txt")


def _registered(model: Path, *, follow_links: bool) -> int:
    """The number of pictures in a model."""
    _, images, _ = _files(model, follow_links=follow_links)
    return len((colmap_binary if images.suffix == ".bin" else colmap_text).read_images(images))


def _files(model: Path, *, follow_links: bool) -> tuple[Path, Path, Path]:
    """cameras, images and points3D, binary where there are binary ones. Raises InputError when one is missing."""
    suffix = ".bin" if (model / "cameras.bin").is_file() else ".txt"
    cameras, images, points = (
        existing_file(model, model, "sparse model", f"{name}{suffix}", follow_links=follow_links)
        for name in ("cameras", "images", "points3D")
    )
    return cameras, images, points


def read_model(model: Path, *, follow_links: bool = False) -> tuple[dict[str, Array], ColmapPoints]:
    """Poses of the registered images by name, camera-to-world, x right, y down, z forward; and the sparse points.

    The images need not exist. Raises InputError naming the file at fault.
    """
    _, images, points = _files(model, follow_links=follow_links)
    parser = colmap_binary if images.suffix == ".bin" else colmap_text
    poses = {
        image.name: camera_to_world(images, f"image {image.name[:80]!r}", image)
        for image in parser.read_images(images)
    }
    return poses, parser.read_points(points)


def read_colmap(folder: Path, *, model: Path | None = None, follow_links: bool = False) -> Capture:
    """The capture of the registered images of a COLMAP folder, ordered by name; every eighth is a test view.

    Binary files are preferred to text files. Of several models the one with the most pictures is read, and a warning
    says so, unless `model` names one, which may lie elsewhere. Pictures that are missing are left out, with a warning.
    Raises InputError naming the file and field at fault.
    """
    if model is not None:
        model = model_elsewhere(folder, model)
    files = _files(model or chosen_model(folder, follow_links=follow_links), follow_links=follow_links)
    parser = colmap_binary if files[0].suffix == ".bin" else colmap_text
    cameras, images, points = (
        parser.read_cameras(files[0]),
        parser.read_images(files[1]),
        parser.read_points(files[2]),
    )
    if not images:
        raise InputError(files[1], "has no registered images")
    listing = listed_views(
        files[1],
        images,
        lambda image: _posed(folder, files[1], image, cameras, follow_links=follow_links),
        name=lambda image: (PurePosixPath(image_folder(folder)) / image.name).as_posix(),
    ).by_name()
    views = listing.views
    return Capture(
        folder=folder,
        views=views,
        splits=every_eighth(files[1], len(views), positions=listing.positions),
        points=points.positions,
        point_colors=points.colors,
        missing=listing.missing,
    )


def _posed(
    folder: Path,
    source: Path,
    image: ColmapImage,
    cameras: Mapping[int, ColmapCamera | UnreadCamera],
    *,
    follow_links: bool,
) -> PosedImage:
    where = f"image {image.name[:80]!r}"
    camera = camera_of_image(source, where, image, cameras)
    # Names may start in the folder of pictures, or in the data set's.
    places = (image_folder(folder), "")
    file = existing_picture(folder, source, where, image.name, places=places, follow_links=follow_links)
    values = camera.parameters
    name = f"camera {image.camera_id}"
    stated = Lens(
        width=camera.width,
        height=camera.height,
        fx=values.get("fx", values.get("f", 0.0)),
        fy=values.get("fy", values.get("f", 0.0)),
        cx=values["cx"],
        cy=values["cy"],
        distortion=Distortion(
            **{key: value for key, value in values.items() if key not in ("f", "fx", "fy", "cx", "cy")},
            model=distortion_kind(camera.model),
        ),
    )
    lens, turned = fitted_lens(source, name, checked_lens(source, name, stated), file)
    return PosedImage(
        name=file.relative_to(folder.resolve()).as_posix(),
        image=file,
        pose=camera_to_world(source, where, image) @ OPENCV_TO_OPENGL,
        lens=lens,
        turned=turned,
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
