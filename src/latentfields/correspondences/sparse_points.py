"""Correspondences of photographs: two images of a COLMAP model that see the same sparse point.

The points of a model are matches that agree with an epipolar geometry (LRF Eq. 5) and with all other views; where
another surface hides a point it has no keypoint, so visibility is respected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.correspondences.files import PointPair, SceneCorrespondences, gathered
from latentfields.correspondences.pose_error import unit_spread
from latentfields.errors import InputError
from latentfields.scenes.readers.capture import (
    Lens,
    every_eighth,
    existing_picture,
    fitted_lens,
    listed_views,
)
from latentfields.scenes.readers.colmap.folder import chosen_model, image_folder
from latentfields.scenes.readers.colmap.tracks import TrackedImage, read_tracks
from latentfields.scenes.scene import scene_name


def colmap_correspondences(folder: Path, options: CorrespondenceConfig) -> SceneCorrespondences:
    """Correspondences between the training views of a COLMAP folder: all images but every eighth.

    Raises InputError when the model is missing, damaged or has no points, and for a single view.
    """
    model = chosen_model(folder)
    # The split is the reader's.
    listing = listed_views(
        model,
        read_tracks(model),
        lambda image: _on_pictures(image, folder / image_folder(folder), source=model),
        name=lambda image: image.name,
    ).by_name()
    images = listing.views
    train = every_eighth(model, len(images), positions=listing.positions)["train"]
    return correspondences_of_tracks(
        [images[index] for index in train],
        scene=folder,
        images=folder / image_folder(folder),
        min_points=options.min_points,
        about=options.about("colmap"),
    )


def correspondences_of_tracks(
    tracked: Sequence[TrackedImage],
    *,
    scene: Path,
    images: Path,
    min_points: int,
    about: Mapping[str, Any],
) -> SceneCorrespondences:
    """Correspondences between all `tracked` images, whose files lie in the folder `images` of a scene.

    Raises InputError when there is a single one.
    """
    if len(tracked) < 2:
        raise InputError(scene, f"has {len(tracked)} usable view; correspondences need two")
    poses = torch.from_numpy(np.stack([image.pose for image in tracked]))
    return gathered(
        [_shared_points(tracked, first, second) for first, second in combinations(range(len(tracked)), 2)],
        name=scene_name(scene),
        folder=images,
        images=[image.name for image in tracked],
        sizes=torch.tensor([image.size for image in tracked]),
        poses=unit_spread(poses, source=str(scene)),
        min_points=min_points,
        about=about,
    )


def _on_pictures(image: TrackedImage, images: Path, *, source: Path) -> TrackedImage:
    """The image under the name that its file has in the folder `images`, positions in pixels of that file.

    Raises MissingPicture when there is no file, and InputError when it has another shape than its camera.
    """
    where = f"image {image.name[:80]!r}"
    file = existing_picture(images, source, where, image.name)
    width, height = image.size
    camera = Lens(width=width, height=height, fx=width, fy=height, cx=0.5 * width, cy=0.5 * height)
    lens, turned = fitted_lens(source, where, camera, file)
    if turned:
        raise InputError(
            file, "is turned by its EXIF orientation, which the model follows; expected it as it is stored"
        )
    return replace(
        image,
        name=file.relative_to(images.resolve()).as_posix(),
        size=(lens.width, lens.height),
        positions=image.positions * np.array([lens.width / width, lens.height / height]),
    )


def _shared_points(tracked: Sequence[TrackedImage], first: int, second: int) -> PointPair:
    a, b = tracked[first], tracked[second]
    _, in_a, in_b = np.intersect1d(a.points, b.points, assume_unique=True, return_indices=True)
    positions = np.stack([a.positions[in_a], b.positions[in_b]], axis=1)
    return PointPair(first, second, torch.from_numpy(positions))
