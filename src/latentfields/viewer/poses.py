"""Cameras of the browser and of this package.

The browser's look along +z with y down (OpenCV axes) and are posed by quaternions; here they look along -z with y up
(OpenGL axes) and are posed by matrices. Both live in the scene's normalised frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.camera_path import quaternions, rotation_matrices
from latentfields.cameras import Cameras
from latentfields.viewer.resolution import FrameSize

_FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


@dataclass(frozen=True)
class BrowserCamera:
    """The camera of somebody's browser."""

    wxyz: tuple[float, float, float, float]
    """Unit quaternion of the rotation from camera to world, OpenCV axes."""
    position: tuple[float, float, float]
    """Its centre."""
    fov: float
    """Vertical field of view in radians."""
    aspect: float
    """Width of the canvas over its height."""

    @property
    def camera_to_world(self) -> Tensor:
        """(4, 4) pose, OpenGL axes."""
        pose = torch.eye(4)
        pose[:3, :3] = rotation_matrices(torch.tensor([self.wxyz]))[0] @ _FLIP
        pose[:3, 3] = torch.tensor(self.position)
        return pose

    def camera(self, size: FrameSize) -> Cameras:
        """One camera that fills the canvas with a picture of `size`; where their ratios differ, pixels are oblong."""
        half = math.tan(self.fov / 2)
        return Cameras(
            camera_to_world=self.camera_to_world[None],
            focal=torch.tensor([[size.width / (2 * half * self.aspect), size.height / (2 * half)]]),
            principal=torch.tensor([[size.width / 2, size.height / 2]]),
            width=size.width,
            height=size.height,
        )


def browser_rotation(camera_to_world: Tensor) -> tuple[float, float, float, float]:
    """The quaternion that the browser needs for a pose (4, 4), OpenGL axes."""
    w, x, y, z = quaternions((camera_to_world[:3, :3] @ _FLIP)[None])[0].tolist()
    return w, x, y, z


def point(values: Tensor) -> tuple[float, float, float]:
    """The three numbers of a (3,) tensor."""
    x, y, z = values.tolist()
    return x, y, z


def vertical_fov(cameras: Cameras) -> float:
    """Mean vertical field of view in radians."""
    return float((2 * torch.atan(cameras.height / 2 / cameras.focal[:, 1])).mean())


def orbit_target(camera_to_world: Tensor) -> Tensor:
    """(3,) the point on the optical axis of a pose (4, 4) nearest to the origin, in front of the camera."""
    center, forward = camera_to_world[:3, 3], -camera_to_world[:3, 2]
    return center + (-(center @ forward)).clamp(min=0.1) * forward
