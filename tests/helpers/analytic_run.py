"""A run whose field is a sphere of two colours in closed form, in a frame that is far from the capture's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from helpers.tiny import SIZE, TINY_FIT, sphere_cameras
from latentfields.fields.field import Field
from latentfields.latent_nerf.build import SceneFrame
from latentfields.latent_nerf.latent_space import LatentSpace
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.rendering.config import GridSamplingConfig
from latentfields.rendering.grid_sampler import GridSampler

RADIUS = 0.6
SCALE = 0.25
"""World to scene: the sphere is four times as large in the world."""
CENTER = torch.tensor([7.0, -3.0, 11.0])
"""Of the sphere in the world."""
DENSEST = 100.0
LEFT, RIGHT = (0.1, 0.4, 0.9), (0.8, 0.3, 0.2)
"""Colours at x < 0 and x > 0."""
VIEWS = 12


class TwoColoredSphere(Field):
    """Density falls from `DENSEST` to zero over a shell around the radius, and is half of it there."""

    channels = 3

    def density(self, points: Tensor) -> Tensor:
        distances: Tensor = points.norm(dim=-1)
        return DENSEST * ((RADIUS - distances) / 0.08 + 0.5).clamp(0, 1)

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        right = (points[:, :1] > 0).float()
        return self.density(points), right * torch.tensor(RIGHT) + (1 - right) * torch.tensor(LEFT)

    def regularisation(self) -> Tensor:
        return torch.zeros(())

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        return []


def world_to_scene() -> Tensor:
    similarity = torch.eye(4)
    similarity[:3, :3] *= SCALE
    similarity[:3, 3] = -SCALE * CENTER
    return similarity


def analytic_views() -> SceneCameras:
    split = {"train": torch.arange(VIEWS - 2), "val": torch.arange(0), "test": torch.arange(VIEWS - 2, VIEWS)}
    names = tuple(f"shots/{index:03d}.jpg" for index in range(VIEWS))
    return SceneCameras(cameras=sphere_cameras(VIEWS), splits=split, names=names)


def analytic_run(folder: Path) -> Run:
    sampler = GridSampler(GridSamplingConfig(samples=48, bins=96, grid_resolution=32))
    field = TwoColoredSphere()
    for _ in range(24):
        sampler.grid.update(field.density, share=1.0, generator=torch.Generator().manual_seed(0))
    frame = SceneFrame(
        near=0.5,
        far=5.0,
        width=SIZE,
        height=SIZE,
        learn_background=False,
        world_to_scene=world_to_scene().tolist(),
    )
    model = LatentNerf(field, sampler, space=LatentSpace(), background=torch.ones(3), near=0.5, far=5.0)
    config = FitRunConfig(
        scene=folder / "gone", autoencoder=None, size=None, seconds=None, fit=replace(TINY_FIT, space="rgb")
    )
    return Run(folder, config, model, frame, views=analytic_views())
