"""Configuration of aligning a decoder to latent fields (LRF Sec. 4.3). Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

from latentfields.autoencoders.config import Perceptual
from latentfields.config.checks import Checked, NonNegative, Seed, Share, joined, require_at_least
from latentfields.errors import ArgumentError
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.presets import PresetName, preset
from latentfields.lrf.encoder.config import DiscriminatorConfig


@dataclass(frozen=True)
class DecoderTrainingConfig(Checked):
    """Fine-tuning of one decoder on the renderings of many latent fields.

    The paper gives the two weights of Eq. 11, and the configuration of the original autoencoder's training for the
    rest (App. A.3): the preset `paper`. Steps and batches are not in it.
    """

    steps: int = 2000
    """Optimiser steps."""
    training_views: int = 3
    """Views in every batch that their scene's field was fitted to."""
    novel_views: int = 3
    """Views in every batch that their scene's field has not seen."""
    crop: int = 128
    """Side of the square crops of views, in pixels; scenes with a shorter side shrink it for all."""
    train_weight: float = 0.5
    """lambda_train of Eq. 11."""
    novel_weight: float = 0.5
    """lambda_novel of Eq. 11."""
    preservation_weight: float = 100.0
    """Weight of the squared distance to what the original decoder makes of encoded, not rendered, latents. 0 is the
    paper's objective, which loses more reconstruction quality."""
    photos_per_batch: NonNegative = 6
    """Photographs in every batch, for the preservation alone, where photographs are given."""
    latent_noise: float = 0.0
    """Strongest noise on the encoded latents of the preservation, which the original decodes without: for every image a
    standard deviation from 0 to this, in units of the normalised latents. Not of the paper: a decoder that bore noise
    before goes on bearing it."""
    perceptual: Perceptual = "gradient-similarity"
    """Perceptual term of decoded renderings."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual term."""
    discriminator: DiscriminatorConfig | None = None
    """An adversarial term of decoded renderings, as in the training of the original autoencoder, or none."""
    learning_rate: float = 5e-4
    """Peak Adam learning rate of the decoder, and of the discriminator; cosine decay."""
    final_learning_rate: float = 0.05
    """Fraction of the peak that the decay ends at; 1 keeps it constant."""
    beta1: Share = 0.9
    """Decay of Adam's first moments."""
    beta2: Share = 0.999
    """Decay of Adam's second moments."""
    seed: Seed = 0
    """Seed of the batches."""


SMALL = DecoderTrainingConfig()
"""Minutes on one core, for packaged autoencoders."""

PAPER = DecoderTrainingConfig(
    steps=100_000,
    crop=512,
    preservation_weight=0.0,
    photos_per_batch=0,
    perceptual="lpips-vgg",
    perceptual_weight=0.5,
    discriminator=DiscriminatorConfig(),
    learning_rate=4.5e-6,
    final_learning_rate=1.0,
    beta1=0.5,
    beta2=0.9,
)
"""Eq. 11 with the losses and rates of a latent diffusion model's autoencoder, without the KL term, which no decoder
sees (App. A.3). The halved weight of LPIPS makes up for images in [0, 1], where those are in [-1, 1]."""

PRESETS: Mapping[PresetName, DecoderTrainingConfig] = MappingProxyType({"small": SMALL, "paper": PAPER})
"""Configurations by name."""


def latent_field_config(
    field: FieldName,
    name: PresetName = "small",
    *,
    steps: int | None = None,
    subpixels: int = 1,
    seed: int = 0,
) -> FitConfig:
    """A fit to latents alone (LRF Eq. 10): no decoder is aligned to a single scene.

    `steps` are those of the fit; by default as many as both stages of the preset have together. `subpixels` are
    rendered features per latent along one side: one, as in the paper, unless a projection is to be learned with every
    field. Raises ArgumentError for less than one step.
    """
    if steps is not None:
        require_at_least("steps", steps, 1)
    config = preset(field, name)
    total = config.supervision.steps + config.alignment.steps if steps is None else steps
    return replace(
        config,
        supervision=StageConfig(total, config.supervision.learning_rate_factor),
        alignment=StageConfig(0, config.alignment.learning_rate_factor),
        subpixels=subpixels,
        seed=seed,
    )


@dataclass(frozen=True)
class DecoderRunConfig(Checked):
    """Everything that determines a run of `align_decoder`."""

    kind: ClassVar[str] = "aligned decoder"

    scenes: tuple[Path, ...]
    """Scenes, or folders of them."""
    autoencoder: str
    """Name or folder of the autoencoder."""
    size: int | None
    """Longer side that images are resized to, in pixels; None keeps them."""
    fit: FitConfig
    """How every latent field is fitted (`latent_field_config`)."""
    training: DecoderTrainingConfig
    """How the decoder is trained."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs that the decoder is to go on decoding as before."""
    other_fits: tuple[FitConfig, ...] = ()
    """Further fits of every scene, such as other fields: the decoder learns the renderings of all."""

    @property
    def fits(self) -> tuple[FitConfig, ...]:
        """All fits of every scene."""
        return (self.fit, *self.other_fits)

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for fits that are not to latents alone."""
        super().check(path)
        if not self.scenes:
            raise ArgumentError(joined(path, "scenes"), "name at least one scene, or folder of scenes")
        for place, fit in enumerate(self.fits):
            if fit.space != "latent" or fit.alignment.steps:
                raise ArgumentError(
                    joined(path, "fit" if place == 0 else f"other_fits[{place - 1}]"),
                    "aligns a decoder to each scene alone; expected latent space, without RGB alignment",
                )
