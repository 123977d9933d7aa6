"""Poses and points from matches: COLMAP's incremental reconstruction."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from latentfields.files import replacing
from latentfields.structure_from_motion.engine import SEED

Array = npt.NDArray[np.float64]

SMALLEST_MODEL = 3
"""Photographs of a model that says something about a scene."""
_SPREAD = 0.02
"""Variance of directions below which they are one direction."""
_CLEARLY = 4.0


def reconstruct(
    colmap: Any,
    database: Path,
    images: Path,
    models: Path,
    *,
    smallest: int = SMALLEST_MODEL,
    on_start: Callable[[], object] = lambda: None,
    on_photograph: Callable[[], object] = lambda: None,
) -> list[Any]:
    """Return the models of a database, that with most photographs first, and write them to the folder `models`.

    Those of fewer photographs than the `smallest` are left out.
    Models that are there already are read. One thread and fixed seeds: the same matches give the same models.
    `on_start` is called when a model is begun, `on_photograph` when a photograph was added to it.
    """
    if not models.exists():
        options = colmap.IncrementalPipelineOptions(num_threads=1, random_seed=SEED, min_model_size=smallest)
        options.mapper.random_seed = options.triangulation.random_seed = SEED
        options.mapper.num_threads = 1
        with replacing(models) as temporary:
            temporary.mkdir()
            colmap.incremental_mapping(
                database,
                images,
                temporary,
                options=options,
                initial_image_pair_callback=on_start,
                next_image_callback=on_photograph,
            )
    folders = sorted(path for path in models.iterdir() if re.fullmatch(r"\d+", path.name))
    found = [colmap.Reconstruction(folder) for folder in folders]
    found = [model for model in found if model.num_reg_images() >= smallest]
    return sorted(found, key=lambda model: (-model.num_reg_images(), -model.num_points3D()))


def level(colmap: Any, model: Any) -> None:
    """Turn a model so that its z axis points up, as far as photographs are held level."""
    rotations = np.stack([image.cam_from_world().rotation.matrix() for image in registered(model)])
    up = upwards(rights=rotations[:, 0], ups=-rotations[:, 1])
    # Whichever axis is least vertical stays in front.
    front = np.eye(3)[int(np.argmin(np.abs(up)))]
    across = np.cross(front, up) / np.linalg.norm(np.cross(front, up))
    rotation = np.stack([across, np.cross(up, across), up])
    model.transform(colmap.Sim3d(1.0, colmap.Rotation3d(rotation), np.zeros(3)))


def upwards(*, rights: Array, ups: Array) -> Array:
    """Return the direction (3,) that is up, from those (N, 3) to the right of cameras and up in their pictures.

    Whoever looks down holds a camera level all the same: what is to its right lies in the horizontal plane. Where
    cameras all look one way, these directions tell no plane, and the mean of `ups` is taken.
    """
    mean = ups.mean(axis=0)
    values, vectors = np.linalg.eigh(rights.T @ rights / len(rights))
    up = vectors[:, 0] * (1.0 if vectors[:, 0] @ mean >= 0 else -1.0)
    if values[1] < _SPREAD or values[1] < _CLEARLY * values[0]:
        up = mean if np.linalg.norm(mean) > _SPREAD else ups[0]
    return np.asarray(up / np.linalg.norm(up))


def registered(model: Any) -> list[Any]:
    """Return the images of a model that have a pose, by name."""
    found = [model.images[identifier] for identifier in model.reg_image_ids()]
    return sorted(found, key=lambda image: str(image.name))
