"""A ray-traced sphere as a scene folder, and an autoencoder that needs no training: what several tests share."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras, look_at
from latentfields.fields.config import GaussiansConfig, TriPlaneConfig
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.fit import fit
from latentfields.rendering.config import GridSamplingConfig, SplattingConfig
from latentfields.scenes.scene import Scene

SIZE = 32
TEST_VIEWS = 3
RADIUS = 0.8

TINY_FIT = FitConfig(
    field=TriPlaneConfig(resolution=16, features=8, hidden=16, planes_learning_rate=2e-2),
    sampling=GridSamplingConfig(samples=12, bins=24, grid_resolution=16, grid_every=4, grid_warmup=8),
    supervision=StageConfig(steps=12, learning_rate_factor=1.0),
    alignment=StageConfig(steps=8, learning_rate_factor=0.3),
    batch_images=2,
    batch_rays=256,
)
"""A fit of a second or two; tests that need quality raise the numbers."""

TINY_GAUSSIANS = replace(TINY_FIT, field=GaussiansConfig(initial=60), sampling=SplattingConfig())
"""The same with a few Gaussians."""


def fitted_run(
    scene: Scene, autoencoder: Autoencoder, *, stored: Path, out: Path, supervision: int, alignment: int
) -> Path:
    """The folder of a tiny fit that knows where its autoencoder is stored."""
    named = autoencoder.clone()
    named.name = str(stored)
    fit(scene, named, out=out, config=TINY_FIT.with_steps(supervision=supervision, alignment=alignment))
    return out


def sphere_cameras(views: int) -> Cameras:
    """Views spread evenly over directions, the first ones as much as all of them."""
    index = torch.arange(views) + 0.5
    # The R2 sequence: low discrepancy for every prefix.
    height = 1.6 * ((index * 0.7548776662) % 1) - 0.8
    angle = 2 * math.pi * ((index * 0.5698402910) % 1)
    around = (1 - height.square()).sqrt()
    eye = 3.0 * torch.stack([around * angle.cos(), around * angle.sin(), height], dim=-1)
    return Cameras(
        camera_to_world=look_at(eye, torch.zeros(3), torch.tensor([0.0, 0.0, 1.0])),
        focal=torch.full((views, 2), 1.6 * SIZE),
        principal=torch.full((views, 2), SIZE / 2),
        width=SIZE,
        height=SIZE,
    )


def sphere_rgba(cameras: Cameras, *, samples: int = 3) -> Tensor:
    """(N, 4, H, W) uint8 straight-alpha pictures of a sphere with smooth coloured stripes, antialiased."""
    color, coverage = torch.zeros(1), torch.zeros(1)
    for y in range(samples):
        for x in range(samples):
            offset = (torch.tensor([x, y]) + 0.5) / samples
            rays = cameras.rays(offsets=offset)
            half_b = (rays.origins * rays.directions).sum(-1)
            discriminant = half_b**2 - rays.origins.square().sum(-1) + RADIUS**2
            hit = (discriminant > 0).float()[..., None]
            distance = (-half_b - discriminant.clamp(min=0).sqrt())[..., None]
            normal = (rays.origins + distance * rays.directions) / RADIUS
            color = color + hit * (0.5 + 0.4 * torch.sin(3 * normal + torch.tensor([0.0, 1.0, 2.0])))
            coverage = coverage + hit
    straight = color / coverage.clamp(min=1)
    rgba = torch.cat([straight, coverage / samples**2], dim=-1)
    return (255 * rgba).round().to(torch.uint8).permute(0, 3, 1, 2)


def write_sphere_scene(folder: Path, *, views: int = 15) -> Path:
    """The NeRF-synthetic layout, the last views for testing."""
    cameras = sphere_cameras(views)
    rgba = sphere_rgba(cameras)
    angle = 2 * math.atan(SIZE / 2 / float(cameras.focal[0, 0]))
    for split, part in (("train", range(views - TEST_VIEWS)), ("test", range(views - TEST_VIEWS, views))):
        (folder / split).mkdir(parents=True)
        frames = []
        for view in part:
            name = f"./{split}/r_{view}"
            Image.fromarray(rgba[view].permute(1, 2, 0).numpy()).save(folder / f"{name}.png")
            frames.append({"file_path": name, "transform_matrix": cameras.camera_to_world[view].tolist()})
        text = json.dumps({"camera_angle_x": angle, "frames": frames})
        (folder / f"transforms_{split}.json").write_text(text)
    return folder
