"""What `latentfields bench autoencoders` compares. Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from latentfields.autoencoders.config import AutoencoderTrainingConfig, PatchAutoencoderConfig
from latentfields.bench.igae_config import Scale

ARCHITECTURES: Mapping[str, PatchAutoencoderConfig] = MappingProxyType(
    {
        "f4": PatchAutoencoderConfig(channels=4, widths=(64,), blocks=(4,)),
        "f8": PatchAutoencoderConfig(channels=16, widths=(64, 128), blocks=(2, 2)),
        "f16": PatchAutoencoderConfig(channels=64, widths=(64, 128, 128), blocks=(2, 2, 2)),
    }
)
"""Autoencoders of factor 4, 8 and 16. All keep one value in twelve: what differs is how many pixels share a latent."""

TRAININGS: Mapping[Scale, AutoencoderTrainingConfig] = MappingProxyType(
    {
        "tiny": AutoencoderTrainingConfig(steps=10, photos_per_batch=2, renders_per_batch=2, size=32),
        "small": AutoencoderTrainingConfig(steps=3000),
        "paper": AutoencoderTrainingConfig(),
    }
)
"""How they are trained. The paper takes trained ones (kl-f4, kl-f8, kl-f16), which can be named instead."""


@dataclass(frozen=True)
class AutoencoderBench:
    """Which autoencoders are compared."""

    spaces: tuple[str, ...]
    """Names or folders; none trains `ARCHITECTURES`."""
    training_scenes: tuple[Path, ...]
    """Scenes to train on; the scale tiny generates some if none are given."""
    training_photos: tuple[Path, ...]
    """Photographs to train on; likewise."""
