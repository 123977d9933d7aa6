"""Architecture and training of our own autoencoders. Free of heavy imports, for the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from latentfields.config.checks import Checked, NonNegative, Range, Seed, joined
from latentfields.errors import ArgumentError

Perceptual = Literal["gradient-similarity", "lpips", "lpips-vgg"]
"""A perceptual distance: multi-scale gradient similarity (needs no weights), LPIPS on AlexNet's features (IG-AE), or on
those of VGG (latent diffusion models' autoencoders, and hence LRF)."""


LARGEST_FACTOR = 64
"""Pixels per latent along one side, at most."""


@dataclass(frozen=True)
class PatchAutoencoderConfig(Checked):
    """Architecture of a `PatchAutoencoder`."""

    channels: int = 16
    """Latent channels."""
    patch: Annotated[int, Range(low=1, high=LARGEST_FACTOR)] = 4
    """Side of the first space-to-depth step, in pixels."""
    widths: Annotated[tuple[int, ...], Range(low=1, high=4096)] = (64, 128)
    """Feature channels per level; every level after the first halves the resolution."""
    blocks: Annotated[tuple[int, ...], Range(low=0, high=1000)] = (2, 2)
    """Residual blocks per level, in the encoder and again in the decoder."""
    variational: bool = False
    """Predict a log-variance beside the mean (for training with a KL term)."""

    @property
    def factor(self) -> int:
        """Pixels per latent, along one side."""
        return int(self.patch * 2 ** (len(self.widths) - 1))

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for values that make no network together."""
        super().check(path)
        if not self.widths or len(self.widths) != len(self.blocks):
            raise ArgumentError(
                joined(path, "widths"),
                f"are {self.widths}, and `{joined(path, 'blocks')}` {self.blocks}; expected one entry per level each, "
                "at least one",
            )
        if self.factor > LARGEST_FACTOR:
            raise ArgumentError(
                joined(path, "patch"),
                f"is {self.patch}, which makes the factor {self.factor} with {len(self.widths)} levels; expected 1 to "
                f"{LARGEST_FACTOR}",
            )
        values = 3 * self.factor**2
        if self.channels > values:
            raise ArgumentError(
                joined(path, "channels"), f"is {self.channels}; expected 1 to {values}, the values of a patch"
            )


@dataclass(frozen=True)
class AutoencoderTrainingConfig(Checked):
    """Settings of an autoencoder's training."""

    steps: int = 12_000
    """Optimiser steps."""
    photos_per_batch: NonNegative = 5
    """Photographs in every batch."""
    renders_per_batch: NonNegative = 3
    """Rendered views in every batch, where there are scenes."""
    size: int = 128
    """Side of the training images, in pixels."""
    reconstruction: Literal["mse", "l1"] = "mse"
    """Reconstruction loss."""
    perceptual_weight: float = 0.0
    """Weight of the multi-scale gradient similarity loss."""
    kl_weight: float = 0.0
    """Weight of the KL divergence to a standard normal, in nats per pixel; above 0 the encoder is variational."""
    learning_rate: float = 4e-4
    """Peak learning rate of AdamW on biases and the linear codec; cosine decay to zero."""
    muon_factor: float = 20.0
    """Learning rate of Muon on convolution kernels, as a multiple of `learning_rate`."""
    warmup_steps: NonNegative = 50
    """Steps of linear warm-up."""
    final_learning_rate: float = 0.0
    """Fraction of the peak learning rates that the cosine decay ends at."""
    seed: Seed = 0
    """Seed of weights and batches."""


AutoencoderPreset = Literal["tiny", "small"]

PRESETS: Mapping[AutoencoderPreset, AutoencoderTrainingConfig] = MappingProxyType(
    {"tiny": AutoencoderTrainingConfig(size=64, steps=300), "small": AutoencoderTrainingConfig()}
)
"""Configurations by name: a minute and a few hours of one CPU core."""


def stored_factor(name: str) -> int | None:
    """Pixels per latent along one side of a packaged autoencoder, or of one in a folder; None where no file says so.

    Judged by its configuration alone: nothing is loaded, nor looked for on the Hub.
    """
    packaged = Path(str(resources.files("latentfields"))) / "weights" / name
    folder = packaged if (packaged / "config.json").is_file() else Path(name)
    for file in (folder / "config.json", folder / "vae" / "config.json"):
        if file.is_file():
            try:
                return _factor(json.loads(file.read_text(encoding="utf-8")))
            except (OSError, ValueError):
                return None
    return None


def _factor(config: object) -> int | None:
    """The factor that the configuration of a class of this package, or of diffusers, says."""
    if not isinstance(config, dict):
        return None
    names = ("widths", "block_out_channels", "encoder_block_out_channels")
    patch, levels = config.get("patch", 1), next(filter(None, map(config.get, names)), None)
    if not isinstance(patch, int) or not isinstance(levels, list):
        return None
    return int(patch * 2 ** (len(levels) - 1))


@dataclass(frozen=True)
class AutoencoderRunConfig:
    """Everything that determines a run of `train_autoencoder`."""

    kind: ClassVar[str] = "autoencoder"
    photos: tuple[Path, ...]
    """Folders of photographs."""
    scenes: tuple[Path, ...]
    """Scenes, or folders of them."""
    start: str | None
    """Name or folder of the autoencoder to continue from, or None."""
    architecture: PatchAutoencoderConfig
    """Sizes of what is trained; of another codec, a dataclass of its own."""
    training: AutoencoderTrainingConfig
    """How it is trained."""
    codec: str = "PatchAutoencoder"
    """Class of what is trained."""
