"""Sizes of the studies: what `tiny`, `small` and `paper` stand for. Free of heavy imports, for the command line.

`paper` is unmeasured: it needs a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from latentfields.autoencoders.config import AutoencoderTrainingConfig
from latentfields.fields.config import FieldName
from latentfields.igae import config as igae
from latentfields.igae.config import IgaeConfig
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.presets import PresetName, preset
from latentfields.lrf.decoder import config as decoder
from latentfields.lrf.decoder.config import DecoderTrainingConfig, latent_field_config
from latentfields.lrf.encoder import config as encoder
from latentfields.lrf.encoder.config import EncoderTrainingConfig
from latentfields.scenes.objects.config import RenderConfig

Scale = Literal["tiny", "small", "paper"]

FAMILIES = ("vases", "hats", "bags")
"""Families of generated objects that no packaged autoencoder was trained on (`procedural.EVALUATION_FAMILIES`)."""

TINY_VIEWS = RenderConfig(views=16, size=64, samples=2, test_fraction=0.25, val_fraction=0.0)
"""Pictures of an object that render in a second."""


@dataclass(frozen=True)
class FitScale:
    """The scale of fits to generated objects, through both stages of IG-AE."""

    views: RenderConfig = field(default_factory=RenderConfig)
    """How the objects are rendered."""
    preset: PresetName = "small"
    """Which settings of a field are taken."""
    steps: tuple[int, int] | None = None
    """Steps of Latent Supervision and RGB Alignment; None takes the preset's."""
    batch_images: int = 2
    """Whole latent images per step."""
    subpixels: int = 1
    """Rays per latent along one side."""

    def fit(self, field: FieldName, *, space: str = "latent", seed: int) -> FitConfig:
        """Return how one field is fitted; every `space` but "rgb" is a latent one."""
        config = preset(field, self.preset, space="rgb" if space == "rgb" else "latent")
        if self.steps is not None:
            config = config.with_steps(supervision=self.steps[0], alignment=self.steps[1])
        return replace(config, batch_images=self.batch_images, subpixels=self.subpixels, seed=seed)


FIELDS_SCALES: Mapping[Scale, FitScale] = MappingProxyType(
    {
        "tiny": FitScale(TINY_VIEWS, steps=(10, 10)),
        "small": FitScale(steps=(400, 600), subpixels=2),
        "paper": FitScale(RenderConfig(views=300), "paper", batch_images=4),
    }
)
"""Fields in several spaces: `small` fits as `latentfields fit` does, `paper` as in Table 16."""

AUTOENCODER_TRAININGS: Mapping[Scale, AutoencoderTrainingConfig] = MappingProxyType(
    {
        "tiny": AutoencoderTrainingConfig(steps=10, photos_per_batch=2, renders_per_batch=2, size=32),
        "small": AutoencoderTrainingConfig(steps=3000),
        "paper": AutoencoderTrainingConfig(),
    }
)
"""Autoencoders of several factors. The paper takes trained ones (kl-f4, kl-f8, kl-f16), which can be named instead."""


@dataclass(frozen=True)
class IgaeScale:
    """The scale of training and comparing IG-AEs."""

    training: IgaeConfig
    """How autoencoders are trained that are not given."""
    fits: FitScale
    score_objects: int
    """Objects per family of the 3D-awareness score."""
    photos: int
    """Photographs that reconstruction is measured on, at most."""


_TINY_TRAINING = replace(
    igae.TINY,
    pretraining=replace(igae.TINY.pretraining, epochs=1.0),
    joint=replace(igae.TINY.joint, epochs=1.0),
)

IGAE_SCALES: Mapping[Scale, IgaeScale] = MappingProxyType(
    {
        "tiny": IgaeScale(_TINY_TRAINING, FitScale(TINY_VIEWS, steps=(20, 20)), score_objects=1, photos=16),
        "small": IgaeScale(igae.SMALL, FitScale(steps=(400, 600)), score_objects=2, photos=100),
        "paper": IgaeScale(
            igae.PAPER,
            FitScale(RenderConfig(views=178), "paper", batch_images=4),
            score_objects=4,
            photos=5000,
        ),
    }
)


@dataclass(frozen=True)
class LrfScale:
    """The scale of training and comparing LRF's stages."""

    training_objects: int
    """Rendered objects to train on, of a family each, where no training scenes are given."""
    encoder: EncoderTrainingConfig
    """Stage I."""
    decoder: DecoderTrainingConfig = field(default_factory=DecoderTrainingConfig)
    """Stage III."""
    views: RenderConfig = field(default_factory=RenderConfig)
    """How objects are rendered, to test on and to train on."""
    size: int = 256
    """Longer side of the images of captured scenes, in pixels, at most."""
    families: tuple[str, ...] = FAMILIES
    """Families of rendered objects that are tested on."""
    preset: PresetName = "small"
    """Settings of every fit."""
    fit_steps: int | None = None
    """Steps of every fit; None takes the preset's."""
    divisors: tuple[int, ...] = (4, 2, 1)
    """Image-space fits beside the one at the latents' resolution: the full resolution by these."""

    def fit(self, field: FieldName, *, subpixels: int, seed: int) -> FitConfig:
        """Return how one field is fitted, to latents or images."""
        return latent_field_config(field, self.preset, steps=self.fit_steps, subpixels=subpixels, seed=seed)


LRF_SCALES: Mapping[Scale, LrfScale] = MappingProxyType(
    {
        "tiny": LrfScale(
            training_objects=1,
            encoder=replace(encoder.TINY, steps=6),
            decoder=DecoderTrainingConfig(steps=6),
            views=replace(TINY_VIEWS, views=10, size=128, samples=1, test_fraction=0.2),
            families=FAMILIES[:1],
            fit_steps=10,
            divisors=(1,),
        ),
        "small": LrfScale(training_objects=8, encoder=encoder.SMALL),
        "paper": LrfScale(
            training_objects=11,
            encoder=encoder.PAPER,
            decoder=decoder.PAPER,
            views=RenderConfig(views=200, size=512),
            size=512,
            preset="paper",
        ),
    }
)
"""The paper gives neither steps nor batches of stage III."""
