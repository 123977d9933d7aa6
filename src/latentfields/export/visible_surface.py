"""The scene as its training views see it: decoded pictures, and the points where rays meet something solid.

Shape suffixes: N views, H, W picture size, h, w depth map size, P points.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.cameras import Cameras, Rays
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.run import Run
from latentfields.rendering.rendering import Rendering
from latentfields.rendering.sampling import box_segment

SOLID = 0.8
"""Opacity of a ray from which it counts as meeting a surface."""


def surface_distance(run: Run, rays: Rays, *, depth: Tensor, opacity: Tensor) -> Tensor:
    """Distances along rays (R,) at which they meet a surface; infinite where less than `SOLID` of a ray is stopped.

    `depth` and `opacity` (R,) are as rendered: what passes counts in the depth with the distance at which rendering
    ends, which is taken out here.
    """
    # Of Gaussians and of scenes without bounds all rays end there.
    leave = torch.full_like(depth, run.frame.far)
    model = run.model.pictures
    if isinstance(model, LatentNerf) and not model.contracted:
        _, leave = box_segment(rays, near=run.frame.near, far=run.frame.far)
    distance = (depth - (1 - opacity) * leave) / opacity.clamp(min=SOLID)
    return torch.where(opacity >= SOLID, distance, torch.inf)


def rendered_distance(run: Run, cameras: Cameras, seen: Rendering) -> tuple[Rays, Tensor]:
    """Rays (N, h, w) of a depth map's cells, and `surface_distance` (N, h, w) along them.

    `seen` is what a model renders for `cameras`, on the CPU.
    """
    height, width = seen.depth.shape[-2:]
    rays = cameras.resized(width=width, height=height).rays()
    flat = surface_distance(run, rays.flatten(), depth=seen.depth.flatten(), opacity=seen.opacity.flatten())
    return rays, flat.view(seen.depth[:, 0].shape)
