"""Configuration of aligning a decoder to latent fields (LRF Sec. 4.3). Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from latentfields.config.checks import Checked, Seed, joined, require_at_least
from latentfields.errors import ArgumentError
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.presets import PresetName, preset


@dataclass(frozen=True)
class DecoderTrainingConfig(Checked):
    """Fine-tuning of one decoder on the renderings of many latent fields.

    Of these values the paper gives the two weights of Eq. 11 only.
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
    photos_per_batch: int = 6
    """Photographs in every batch, for the preservation alone, where photographs are given."""
    perceptual_weight: float = 0.0
    """Weight of the multi-scale gradient similarity loss of decoded renderings."""
    learning_rate: float = 5e-4
    """Peak Adam learning rate of the decoder; cosine decay."""
    final_learning_rate: float = 0.05
    """Fraction of the peak that the decay ends at."""
    seed: Seed = 0
    """Seed of the batches."""


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

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for fits that are not to latents alone."""
        super().check(path)
        if not self.scenes:
            raise ArgumentError(joined(path, "scenes"), "name at least one scene, or folder of scenes")
        if self.fit.space != "latent" or self.fit.alignment.steps:
            raise ArgumentError(
                joined(path, "fit"),
                "aligns a decoder to each scene alone; expected latent space, without RGB alignment",
            )
