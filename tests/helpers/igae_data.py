"""Small autoencoders, scenes and photographs for the tests of this folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from latentfields.igae.config import (
    IgaeConfig,
    IgaeWeightsConfig,
    JointConfig,
    LatentScenesConfig,
    PretrainingConfig,
)
from latentfields.rendering.config import DensityGridConfig
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object

SIZE = 32

CONFIG = IgaeConfig(
    size=SIZE,
    scenes=LatentScenesConfig(
        resolution=8,
        features=4,
        hidden=8,
        sampling=DensityGridConfig(samples=8, bins=12, grid_resolution=8, grid_every=2, grid_warmup=4),
    ),
    pretraining=PretrainingConfig(epochs=2.0, scenes_per_batch=2, views_per_scene=2, mlp_learning_rate=1e-2),
    joint=JointConfig(
        epochs=1.5,
        scenes_per_batch=2,
        photos_per_batch=2,
        encoder_learning_rate=1e-3,
        decoder_learning_rate=1e-3,
        planes_learning_rate=1e-2,
        mlp_learning_rate=1e-3,
        largest_gradient=0.5,
        latent_noise=0.1,
        weights=IgaeWeightsConfig(latent=0.1),
    ),
)


def with_weights(**weights: float) -> IgaeConfig:
    """`CONFIG` with every loss weight zero but those given."""
    zero = dict.fromkeys(IgaeWeightsConfig.__dataclass_fields__, 0.0)
    return replace(CONFIG, joint=replace(CONFIG.joint, weights=IgaeWeightsConfig(**(zero | weights))))


def write_scenes(folder: Path, *, count: int = 3, views: int = 8, val_fraction: float = 0.0) -> Path:
    """`count` rendered objects of 32 x 32 pixels: 6 views to train on, or to validate by, and 2 to test for every 8."""
    options = RenderConfig(views=views, size=SIZE, samples=1, test_fraction=0.25, val_fraction=val_fraction)
    for seed in range(count):
        render_object_scene(generate_object("mugs", seed), folder / f"mug-{seed}", options=options, seed=seed)
    return folder
