"""Small collections for tests."""

from __future__ import annotations

from dataclasses import replace

from helpers.igae_data import SIZE
from latentfields.fused_planes.config import CollectionConfig, FusedPlanesConfig, PhaseConfig
from latentfields.rendering.config import DensityGridConfig

PLANES = FusedPlanesConfig(
    resolution=8,
    micro_features=2,
    macro_features=3,
    base_planes=2,
    hidden=8,
    subpixel_width=4,
    sampling=DensityGridConfig(samples=8, bins=12, grid_resolution=8, grid_every=2, grid_warmup=4),
)
LATENT = PhaseConfig(epochs=2.0, objects_per_batch=2, mlp_learning_rate=1e-2)
RGB = replace(LATENT, epochs=1.0, latent_weight=0.1, rgb_weight=1.0)
COLLECTION = CollectionConfig(
    size=SIZE,
    planes=PLANES,
    warmup=LATENT,
    joint=replace(RGB, decoder_learning_rate=1e-3),
    latent=LATENT,
    align=RGB,
    rays=64,
    precision="float32",
)
"""Of scenes that `helpers.igae_data.write_scenes` writes: 9 steps for three, then as many."""
LIGHT = replace(COLLECTION, planes=replace(PLANES, micro_features=0))
"""Objects that are their weights alone."""
