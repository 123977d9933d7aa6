"""From a run's normalised frame back to the capture's own coordinates.

Formats of single precision hold coordinates below `EXACT` alone to a quarter of a thousandth of their unit. Points
beyond, as those of UTM, are written without a shift of whole units, which is stated in a file beside theirs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.files import write_json
from latentfields.latent_nerf.build import SceneFrame
from latentfields.scenes.normalise import transform_points

EXACT = 4096.0
"""Coordinates below this are written as they are."""


def scene_to_world(frame: SceneFrame) -> Tensor:
    """The (4, 4) float64 similarity that undoes the normalisation of a scene."""
    similarity = torch.tensor(frame.world_to_scene, dtype=torch.float64)
    inverse: Tensor = torch.linalg.inv(similarity)
    return inverse


def points_to_world(frame: SceneFrame, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (P, 3) of the normalised frame in the capture's coordinates."""
    moved: NDArray[np.float64] = transform_points(scene_to_world(frame), torch.from_numpy(points)).numpy()
    return moved


def cameras_to_world(frame: SceneFrame, cameras: Cameras) -> Cameras:
    """Cameras of the normalised frame in the capture's coordinates, float64."""
    return cameras.to(torch.float64).transformed(scene_to_world(frame))


def world_shift(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shift (3,), in whole units, to take from points (P, 3) in the world before they are written as float32."""
    if not len(points) or np.abs(points).max() < EXACT:
        return np.zeros(3)
    middle: NDArray[np.float64] = np.rint(0.5 * (points.min(axis=0) + points.max(axis=0)))
    return middle


def shift_file(out: Path) -> Path:
    """The file that states the shift of `out`: FILE.shift.json."""
    return out.with_name(f"{out.name}.shift.json")


def state_shift(out: Path, shift: NDArray[np.float64]) -> None:
    """Write beside `out` what is to be added to its positions, or remove what an earlier export stated."""
    if shift.any():
        write_json(shift_file(out), {"shift": shift.tolist()})
    else:
        shift_file(out).unlink(missing_ok=True)
