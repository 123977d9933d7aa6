"""Configuration of fine-tuning an encoder (LRF Sec. 4.1). Free of heavy imports, for the command line.

Losses are means over elements, images in [0, 1], latents normalised to unit spread per channel by the statistics of
the autoencoder that the training starts from, so that weights depend neither on resolution nor on batch size. The
paper gives neither lambda_1 nor lambda_2 nor the number of steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from latentfields.autoencoders.config import Perceptual
from latentfields.config.checks import Checked, NonNegative, Precision, Range, Seed, Share
from latentfields.correspondences.config import Weighting
from latentfields.errors import ArgumentError

SMALLEST_SIZE, SMALLEST_JUDGED_SIZE = 16, 24
"""Pixels: smaller images have too few scales for the perceptual term, or vanish in the discriminator's layers."""

Reconstruction = Literal["l1", "mse"]
"""How L_VAE measures reconstructions: by absolute errors, as the paper, or by squared ones, as PSNR does."""

CorrespondenceUnit = Literal["reference", "pair"]
"""Unit of L_corres: the spread of the starting autoencoder's latents, which gives Eq. 6 as it stands; or the spread of
the current latents at the points of each pair, so that encoders cannot lower the term by losing contrast."""


@dataclass(frozen=True)
class EncoderWeightsConfig(Checked):
    """Weights of the terms of Eq. 7, beside the reconstruction error, which has weight 1.

    Those of L_corres and of the distance to the original were chosen by measurement on `base` (docs/results/lrf.md),
    for a reconstruction that loses at most 0.3 dB; those of variational autoencoders were not measured.
    """

    correspondence: float = 0.15
    """lambda_1, of L_corres (Eq. 6)."""
    original_distance: float = 0.1
    """lambda_2 where the encoder is deterministic: of the squared distance to the original latents."""
    original_kl: float = 1e-6
    """lambda_2 where it is variational: of the KL divergence to the original posterior, in nats per pixel value."""
    perceptual: float = 0.02
    """Weight of the perceptual term of L_VAE."""
    kl: float = 1e-6
    """Weight of the KL divergence to the standard normal in L_VAE, in nats per pixel value; variational only."""
    exchange: float = 0.0
    """Weight of the reconstruction of a pair's first image from latents that are the other image's wherever both show
    the same point. Not of the paper: decoders learn to bear what views disagree about, encoders to agree about what
    shows. 0 leaves it out."""


@dataclass(frozen=True)
class DiscriminatorConfig(Checked):
    """The adversarial part of L_VAE."""

    start: NonNegative = 501
    """Step, counted from 1, at which it sets in."""
    weight: float = 0.5
    """Norm of its gradient at the decoded images, relative to that of the reconstruction terms."""
    width: int = 64
    """Channels of the discriminator's first layer."""


@dataclass(frozen=True)
class EncoderTrainingConfig(Checked):
    """The first stage: an autoencoder becomes correspondence-aware."""

    size: int = 128
    """Side of the training images, in pixels: windows of pictures whose shorter side is brought to it."""
    steps: int = 1600
    """Optimiser steps."""
    pairs_per_batch: int = 2
    """Image pairs in a batch."""
    window: Annotated[int | None, Range(low=SMALLEST_SIZE)] = None
    """Side in pixels of the random squares that pictures and photographs are cut to; None: as large as pictures."""
    points_per_pair: int = 512
    """At most so many correspondences of each pair."""
    photos_per_batch: NonNegative = 4
    """Photographs in a batch beside the pairs, for all terms but L_corres, where photographs are given. Not of the
    paper: what few scenes do not show is kept by them."""
    learning_rate: Annotated[float, Range(above=0)] = 5e-4
    """Of Adam with betas (0.5, 0.9), for the autoencoder and for the discriminator."""
    final_learning_rate: Share = 0.05
    """Fraction of it that a cosine decay ends at; 1 keeps it constant."""
    weighting: Weighting = "wide"
    """Which image pairs weigh more: wide baselines (Eq. 12) or narrow ones (its inverse)."""
    unit: CorrespondenceUnit = "pair"
    """Unit of L_corres: that of Eq. 6 (reference), or the spread of each pair's own latents (pair)."""
    reconstruction: Reconstruction = "l1"
    """Reconstruction error of L_VAE: absolute, as in the paper, or squared; weights of the other terms are relative to
    it, and squared errors are some thirty times smaller."""
    precision: Precision = "float32"
    """What encoder and decoder compute in: float32; bfloat16 (weights and losses stay in float32), nearly twice as fast
    where the processor has instructions for it; or the latter there alone (auto)."""
    average_decay: Share = 0.0
    """Decay of the exponential moving average of the weights over the steps, which is the result then; 0: the weights
    of the last step are."""
    latent_noise: float = 0.0
    """Strongest noise that L_VAE decodes latents of a deterministic autoencoder with: for every image a standard
    deviation from 0 to this, in units of the starting autoencoder's latents. Variational ones have their posterior."""
    perceptual: Perceptual = "gradient-similarity"
    """Perceptual term of L_VAE: multi-scale gradient similarity, which needs no weights, or LPIPS."""
    weights: EncoderWeightsConfig = field(default_factory=EncoderWeightsConfig)
    """Weights of the terms."""
    discriminator: DiscriminatorConfig | None = None
    """The adversarial part of L_VAE, or none."""
    seed: Seed = 0
    """Seed of batches, posterior noise and discriminator."""

    def check_factor(self, factor: int) -> None:
        """Raise ArgumentError where images of this size cannot train an autoencoder with so many pixels per latent."""
        smallest = max(2 * factor, SMALLEST_SIZE if self.discriminator is None else SMALLEST_JUDGED_SIZE)
        if self.size < smallest or self.size % factor:
            raise ArgumentError(
                "size", f"is {self.size}; expected a multiple of the factor {factor}, at least {smallest}"
            )
        if self.window is not None and not (
            smallest <= self.window <= self.size and self.window % factor == 0
        ):
            raise ArgumentError(
                "window",
                f"is {self.window}; expected a multiple of the factor {factor} from {smallest} to the size {self.size}",
            )


SMALL = EncoderTrainingConfig()
"""Minutes on one core, for packaged autoencoders."""

TINY = EncoderTrainingConfig(size=64, steps=150)
"""A minute on one core."""

PAPER = EncoderTrainingConfig(
    size=512,
    steps=100_000,
    learning_rate=4.5e-6,
    final_learning_rate=1.0,
    unit="reference",
    perceptual="lpips-vgg",
    weights=EncoderWeightsConfig(perceptual=0.5, kl=5e-7),
    discriminator=DiscriminatorConfig(),
)
"""LRF App. A.3, for a latent diffusion model's autoencoder; steps, batch and lambdas are not given there and not
measured here. Halved weights of LPIPS and KL make up for images in [0, 1], where the paper's are in [-1, 1]."""

EncoderPreset = Literal["tiny", "small", "paper"]

PRESETS: Mapping[EncoderPreset, EncoderTrainingConfig] = MappingProxyType(
    {"tiny": TINY, "small": SMALL, "paper": PAPER}
)
"""Configurations by name."""


@dataclass(frozen=True)
class EncoderRunConfig:
    """Everything that determines a run of `finetune_encoder`."""

    kind: ClassVar[str] = "correspondence-aware autoencoder"
    autoencoder: str
    """Name or folder of the autoencoder to start from."""
    correspondences: tuple[Path, ...]
    """Data sets of correspondences."""
    held_out: tuple[Path, ...]
    """Data sets that the result is scored on."""
    photos: tuple[Path, ...]
    """Folders of photographs."""
    training: EncoderTrainingConfig
    """How it is trained."""
