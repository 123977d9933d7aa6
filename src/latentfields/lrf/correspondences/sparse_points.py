"""Correspondences of photographs: two images of a COLMAP model that see the same sparse point.

The points of a model are matches that agree with an epipolar geometry (LRF Eq. 5) and with all other views; where
another surface hides a point it has no keypoint, so visibility is respected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latentfields.errors import InputError
from latentfields.lrf.correspondences.config import CorrespondenceConfig
from latentfields.lrf.correspondences.files import PointPair, SceneCorrespondences, gathered
from latentfields.lrf.correspondences.pose_error import unit_spread
from latentfields.scenes.images import image_size
from latentfields.scenes.readers.capture import every_eighth, path_inside
from latentfields.scenes.readers.colmap.folder import IMAGE_FOLDER, model_folder
from latentfields.scenes.readers.colmap.tracks import TrackedImage, read_tracks
from latentfields.scenes.scene import scene_name


def colmap_correspondences(folder: Path, options: CorrespondenceConfig) -> SceneCorrespondences:
    """Correspondences between the training views of a COLMAP folder: all images but every eighth.

    Raises InputError when the model is missing, damaged or has no points, and for a single view.
    """
    model = model_folder(folder)
    if model is None:
        raise InputError(folder, "has no sparse model of COLMAP")
    images = read_tracks(model)
    train = every_eighth(model, len(images))["train"]
    return correspondences_of_tracks(
        [images[index] for index in train],
        scene=folder,
        images=folder / IMAGE_FOLDER,
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

    Raises InputError when there is a single one, or a file has another size than its camera.
    """
    if len(tracked) < 2:
        raise InputError(scene, f"has {len(tracked)} usable view; correspondences need two")
    for image in tracked:
        file = path_inside(images, scene, f"image {image.name[:80]!r}", image.name)
        if image_size(file) != image.size:
            raise InputError(file, f"expected {image.size[0]}x{image.size[1]} pixels, as the model says")
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


def _shared_points(tracked: Sequence[TrackedImage], first: int, second: int) -> PointPair:
    a, b = tracked[first], tracked[second]
    _, in_a, in_b = np.intersect1d(a.points, b.points, assume_unique=True, return_indices=True)
    positions = np.stack([a.positions[in_a], b.positions[in_b]], axis=1)
    return PointPair(first, second, torch.from_numpy(positions))
