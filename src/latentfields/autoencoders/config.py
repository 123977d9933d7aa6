"""Architecture and training of our own autoencoders. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from latentfields.config.checks import check_numbers

Perceptual = Literal["gradient-similarity", "lpips"]
"""The perceptual term of Eq. 10: multi-scale gradient similarity (needs no weights), or LPIPS (AlexNet)."""


@dataclass(frozen=True)
class PatchAutoencoderConfig:
    """Architecture of a `PatchAutoencoder`."""

    channels: int = 16
    """Latent channels."""
    patch: int = 4
    """Side of the first space-to-depth step, in pixels."""
    widths: tuple[int, ...] = (64, 128)
    """Feature channels per level; every level after the first halves the resolution."""
    blocks: tuple[int, ...] = (2, 2)
    """Residual blocks per level, in the encoder and again in the decoder."""
    variational: bool = False
    """Predict a log-variance beside the mean (for training with a KL term)."""

    @property
    def factor(self) -> int:
        """Pixels per latent, along one side."""
        return int(self.patch * 2 ** (len(self.widths) - 1))

    def problem(self) -> str | None:
        """Why no network can have these values, or None."""
        if not self.widths or len(self.widths) != len(self.blocks):
            return (
                f"widths {self.widths} and blocks {self.blocks} should have one entry per level, at least one"
            )
        if not 1 <= self.patch <= 64 or self.factor > 64:
            return f"patch {self.patch} and {len(self.widths)} levels make the factor {self.factor}; expected 1 to 64"
        if not 1 <= self.channels <= 3 * self.factor**2:
            return f"channels is {self.channels}; expected 1 to {3 * self.factor**2}, the values of a patch"
        if min(self.widths) < 1 or max(self.widths) > 4096 or min(self.blocks) < 0 or max(self.blocks) > 1000:
            return f"widths {self.widths} and blocks {self.blocks}; expected 1 to 4096 and 0 to 1000"
        return None


@dataclass(frozen=True)
class AutoencoderTrainingConfig:
    """How an autoencoder is trained."""

    steps: int = 12_000
    """Optimiser steps."""
    photos_per_batch: int = 5
    """Photographs in every batch."""
    renders_per_batch: int = 3
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
    warmup_steps: int = 50
    """Steps of linear warm-up."""
    final_learning_rate: float = 0.0
    """Fraction of the peak learning rates that the cosine decay ends at."""
    seed: int = 0
    """Seed of weights and batches."""

    def check(self) -> None:
        """Raise InputError, naming the option, when a value is out of range."""
        check_numbers(
            self, lowest=dict.fromkeys(("photos_per_batch", "renders_per_batch", "warmup_steps"), 0)
        )


@dataclass(frozen=True)
class AutoencoderRunConfig:
    """What a run of `train_autoencoder` computes."""

    kind: ClassVar[str] = "autoencoder"
    photos: tuple[Path, ...]
    """Folders of photographs."""
    scenes: tuple[Path, ...]
    """Scenes, or folders of them."""
    start: str | None
    """Name or folder of the autoencoder to continue from, or None."""
    architecture: PatchAutoencoderConfig
    """What is trained."""
    training: AutoencoderTrainingConfig
    """How it is trained."""
