"""Priors of a second: spheres in two classes, an autoencoder without training, a network of a few channels."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from helpers.tiny import TINY_FIT, write_sphere_scene
from latentfields.priors.config import PriorNetworkConfig, PriorTrainingConfig

TINY_PRIOR = PriorTrainingConfig(
    steps=6,
    batch=4,
    size=32,
    network=PriorNetworkConfig(widths=(16, 16), head_width=8),
    timesteps=50,
    warmup_steps=2,
)


def write_classes(folder: Path) -> Path:
    """Two scenes, of the classes "ball" and "marble"."""
    write_sphere_scene(folder / "ball-0000")
    shutil.copytree(folder / "ball-0000", folder / "marble-0000")
    return folder


TINY_GENERATION = replace(TINY_FIT, subpixels=1).with_steps(supervision=4, alignment=0)
"""A generation of a second."""
