"""Placement of cameras around an object of known size."""

from __future__ import annotations

import math

import numpy as np
import torch

from latentfields.cameras import Cameras, look_at

_FILL = 0.96
"""Size of a framed object over that of the sphere that touches the picture's edge."""


def framed_radius(*, distance: float, field_of_view: float) -> float:
    """Radius of a centred sphere that just fits into the picture of a camera at `distance`.

    `field_of_view` is the full angle in degrees across the image's shorter side.
    """
    return _FILL * distance * math.sin(math.radians(field_of_view) / 2)


def sphere_cameras(
    count: int,
    *,
    distance: float,
    size: int,
    field_of_view: float,
    seed: int,
    min_elevation: float = -90.0,
    max_elevation: float = 90.0,
) -> Cameras:
    """`count` square cameras of `size` pixels on a sphere of radius `distance`, looking at the origin, z up.

    `field_of_view` is the full angle in degrees across the image. Directions are a jittered Fibonacci
    lattice: even cover for any count, no two seeds alike. Elevations, in degrees above the horizon, are
    uniform on the sphere between the two bounds. The order is shuffled, so that any slice of the cameras is
    spread out too.
    """
    random = np.random.default_rng(seed)
    low, high = math.sin(math.radians(min_elevation)), math.sin(math.radians(max_elevation))
    slots = (np.arange(count) + random.uniform(0.15, 0.85, count)) / count
    z = low + (high - low) * slots
    golden = math.pi * (3 - math.sqrt(5))
    azimuth = golden * np.arange(count) + random.uniform(0, 2 * math.pi) + random.uniform(-0.3, 0.3, count)
    ring = np.sqrt(np.clip(1 - z**2, 0, None))
    eye = distance * np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), z], axis=1)
    eye = eye[random.permutation(count)]
    pose = look_at(
        torch.from_numpy(eye), torch.zeros(3, dtype=torch.float64), torch.tensor([0.0, 0.0, 1.0]).double()
    )
    focal = size / 2 / math.tan(math.radians(field_of_view) / 2)
    return Cameras(
        camera_to_world=pose.float(),
        focal=torch.full((count, 2), focal),
        principal=torch.full((count, 2), size / 2),
        width=size,
        height=size,
    )
