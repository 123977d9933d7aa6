"""A coloured sphere with exact depth, as a scene in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.scenes.objects.placement import sphere_cameras
from latentfields.scenes.scene import Scene

RADIUS = 0.8
SIZE = 48


def ring_of_cameras(views: int = 20) -> Cameras:
    return sphere_cameras(views, distance=3.0, size=SIZE, field_of_view=36.0, seed=0)


def surface_points(cameras: Cameras, *, offset: float = 0.5) -> tuple[Tensor, Tensor]:
    """Points (N, H, W, 3) where rays meet the sphere (NaN where they miss), and their z-depths (N, H, W)."""
    rays = cameras.rays(offsets=torch.tensor([offset, offset]))
    half_b = (rays.origins * rays.directions).sum(-1)
    discriminant = half_b**2 - rays.origins.square().sum(-1) + RADIUS**2
    distance = torch.where(discriminant > 0, -half_b - discriminant.clamp(min=0).sqrt(), torch.inf)
    points = rays.origins + rays.directions * distance[..., None]
    points[discriminant <= 0] = torch.nan
    depth = distance * (rays.directions * cameras.forward[:, None, None]).sum(-1)
    return points, depth


def surface_colors(points: Tensor) -> Tensor:
    """Colours in [0, 1] that vary smoothly over the sphere."""
    return 0.5 + 0.4 * torch.sin(4 * points + torch.tensor([0.0, 1.0, 2.0]))


def sphere_scene(views: int = 20) -> Scene:
    cameras = ring_of_cameras(views)
    points, depth = surface_points(cameras)
    hit = depth.isfinite()[:, None]
    colors = torch.nan_to_num(surface_colors(points)).permute(0, 3, 1, 2) * hit
    return Scene(
        name="sphere",
        source="sphere",
        pixels=(colors * 255).round().byte(),
        alpha=hit.byte() * 255,
        cameras=cameras,
        splits={"train": torch.arange(views)},
        background=(1.0, 1.0, 1.0),
        near=1.0,
        far=5.0,
        world_to_scene=torch.eye(4),
        image_names=tuple(map(str, range(views))),
        depth=depth[:, None],
    )
