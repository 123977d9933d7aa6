"""The 2D side of a COLMAP model: which sparse point each keypoint of each image is a view of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Array, existing_file
from latentfields.scenes.readers.colmap import binary as colmap_binary
from latentfields.scenes.readers.colmap import text as colmap_text
from latentfields.scenes.readers.colmap.folder import camera_to_world
from latentfields.scenes.readers.colmap.model import camera_of_image


@dataclass(frozen=True)
class TrackedImage:
    """A registered image and the sparse points that it sees."""

    name: str
    """Relative to the folder of the images."""
    size: tuple[int, int]
    """(width, height) of its camera, in pixels."""
    pose: Array
    """(4, 4) camera-to-world in the model's frame, x right, y down, z forward."""
    points: npt.NDArray[np.int64]
    """(K,) identifiers of different sparse points, ascending."""
    positions: Array
    """(K, 2) column and row where they are seen in the picture as stored, in pixels; centres at +0.5."""


def read_tracks(model: Path) -> list[TrackedImage]:
    """The images of the sparse model in the folder `model`, ordered by name. Their files need not exist.

    Raises InputError naming the file at fault, also when no image sees a sparse point.
    """
    suffix = ".bin" if (model / "cameras.bin").is_file() else ".txt"
    parser = colmap_binary if suffix == ".bin" else colmap_text
    file = existing_file(model, model, "sparse model", f"images{suffix}")
    cameras = parser.read_cameras(existing_file(model, model, "sparse model", f"cameras{suffix}"))
    images = []
    for image, seen in zip(parser.read_images(file), parser.read_observations(file), strict=True):
        where = f"image {image.name[:80]!r}"
        if not np.isfinite(seen.positions).all():
            raise InputError(file, f"{where}: expected finite positions of its keypoints")
        camera = camera_of_image(file, where, image, cameras)
        # A point may be tracked twice in one image: the first keypoint stands for it.
        points, first = np.unique(seen.points, return_index=True)
        images.append(
            TrackedImage(
                name=image.name,
                size=(camera.width, camera.height),
                pose=camera_to_world(file, where, image),
                points=points[points >= 0],
                positions=seen.positions[first][points >= 0],
            )
        )
    if not any(len(image.points) for image in images):
        raise InputError(file, "no image sees a sparse point; expected a model with points and tracks")
    return sorted(images, key=lambda image: image.name)
