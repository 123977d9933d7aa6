"""Architecture and training of our own autoencoders. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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


@dataclass(frozen=True)
class AutoencoderTraining:
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
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW on biases and the linear codec; cosine decay to zero."""
    muon_factor: float = 20.0
    """Learning rate of Muon on convolution kernels, as a multiple of `learning_rate`."""
    warmup_steps: int = 50
    """Steps of linear warm-up."""
    final_learning_rate: float = 0.0
    """Fraction of the peak learning rates that the cosine decay ends at."""
    seed: int = 0
    """Seed of weights and batches."""
