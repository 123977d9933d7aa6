"""A striped ball before a horizon of clouds, in closed form: an object and, ten times farther away, everything else."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from latentfields.cameras import Cameras, look_at
from latentfields.scenes.scene import Scene

BALL = 0.7
HORIZON = 12.0
VIEWS = 40


def ring(count: int, *, size: int = 24) -> Cameras:
    """Cameras around the ball, which they look at from a little above, z up; far corners of the horizon are seen by
    several of them."""
    angle = torch.arange(count) * (2 * torch.pi / count)
    eye = torch.stack([2.4 * angle.cos(), 2.4 * angle.sin(), 0.5 + 0.4 * (3 * angle).sin()], dim=-1)
    return Cameras(
        camera_to_world=look_at(eye, torch.zeros(3), torch.tensor([0.0, 0.0, 1.0])),
        focal=torch.full((count, 2), 0.8 * size),
        principal=torch.full((count, 2), size / 2),
        width=size,
        height=size,
    )


def colors(origins: Tensor, directions: Tensor) -> Tensor:
    """(..., 3) colours in [0, 1] along unit rays (..., 3)."""
    points, ball = _hit(origins, directions, radius=BALL, outside=True)
    stripes = 0.5 + 0.45 * torch.sin(9 * points + torch.tensor([0.0, 1.0, 2.0]))
    behind, _ = _hit(origins, directions, radius=HORIZON, outside=False)
    # Long waves over the horizon, which no constant colour stands for.
    clouds = 0.5 + 0.4 * torch.sin(behind * (7 / HORIZON) + torch.tensor([2.0, 0.5, 4.0]))
    return torch.where(ball[..., None], stripes, clouds)


def _hit(origins: Tensor, directions: Tensor, *, radius: float, outside: bool) -> tuple[Tensor, Tensor]:
    """Points (..., 3) where rays meet a sphere, from outside or from inside of it; and whether they do."""
    half_b = (origins * directions).sum(-1)
    discriminant = half_b**2 - origins.square().sum(-1) + radius**2
    root = discriminant.clamp(min=0).sqrt()
    distance = -half_b - root if outside else -half_b + root
    return origins + distance[..., None] * directions, discriminant > 0


def distances(origins: Tensor, directions: Tensor) -> Tensor:
    """(...) distances along unit rays to what they show."""
    ball, hit = _hit(origins, directions, radius=BALL, outside=True)
    behind, _ = _hit(origins, directions, radius=HORIZON, outside=False)
    apart: Tensor = (torch.where(hit[..., None], ball, behind) - origins).norm(dim=-1)
    return apart


def ball_scene(*, bounds: str) -> Scene:
    """The scene, its ball in [-1, 1]^3 in any case; every fifth view is a test view."""
    cameras = ring(VIEWS)
    total = torch.zeros(())
    for offset in torch.cartesian_prod(torch.tensor([0.25, 0.75]), torch.tensor([0.25, 0.75])):
        rays = cameras.rays(offsets=offset)
        total = total + colors(rays.origins.expand_as(rays.directions), rays.directions) / 4
    index = torch.arange(VIEWS)
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(400, 3, generator=generator), dim=-1)
    return Scene(
        name="ball",
        source=str(Path("ball")),
        pixels=(255 * total).round().to(torch.uint8).permute(0, 3, 1, 2).contiguous(),
        alpha=None,
        cameras=cameras,
        splits={"train": index[index % 5 > 0], "val": index[:0], "test": index[index % 5 == 0]},
        background=(1.0, 1.0, 1.0),
        near=0.5,
        far=1000.0 if bounds == "scene" else 5.0,
        world_to_scene=torch.eye(4, dtype=torch.float64),
        image_names=tuple(f"{view}.png" for view in range(VIEWS)),
        points=torch.cat([BALL * directions[:200], HORIZON * directions[200:]]),
        bounds="scene" if bounds == "scene" else "object",
    )
