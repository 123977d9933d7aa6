"""From a run's normalised frame back to the capture's own coordinates."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.latent_nerf.build import SceneFrame
from latentfields.scenes.normalise import transform_points


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
