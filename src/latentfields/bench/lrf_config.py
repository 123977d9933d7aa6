"""What `latentfields bench lrf` runs at each scale. Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from latentfields.bench.igae_config import Scale
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.presets import PresetName
from latentfields.lrf.decoder.config import DecoderTrainingConfig
from latentfields.lrf.encoder.config import PAPER, SMALL, TINY, EncoderTrainingConfig
from latentfields.scenes.objects.config import RenderConfig

FEW = 3
"""Training views of the few-shot fits (LRF Table 2)."""

STAGES: Mapping[str, str] = MappingProxyType(
    {
        "base": "plain VAE",
        "encoder": "encoder only (stage I)",
        "decoder": "decoder only (stage III)",
        "both": "both (LRF)",
    }
)
"""The rows of LRF Table 3, by role: what of the autoencoder was fine-tuned."""

ENCODER_OF: Mapping[str, str] = MappingProxyType(
    {"base": "base", "encoder": "encoder", "decoder": "base", "both": "encoder"}
)
"""The role whose encoder a role shares, and with it the latent fields."""


@dataclass(frozen=True)
class LrfScale:
    """Sizes of the benchmark."""

    views: RenderConfig
    """How objects are rendered, to test on and to train on."""
    size: int
    """Longer side of the images of captured scenes, in pixels, at most."""
    families: tuple[str, ...]
    """Families of rendered objects that are tested on."""
    training_objects: int
    """Rendered objects to train on, of a family each, where no training scenes are given."""
    preset: PresetName
    """Settings of every fit."""
    fit_steps: int | None
    """Steps of every fit; None takes the preset's."""
    divisors: tuple[int, ...]
    """Image-space fits beside the one at the latents' resolution: the full resolution by these."""
    encoder: EncoderTrainingConfig
    """Stage I."""
    decoder: DecoderTrainingConfig
    """Stage III."""


LRF_SCALES: Mapping[Scale, LrfScale] = MappingProxyType(
    {
        "tiny": LrfScale(
            views=RenderConfig(views=10, size=128, samples=1, test_fraction=0.2, val_fraction=0.0),
            size=256,
            families=("vases",),
            training_objects=1,
            preset="small",
            fit_steps=10,
            divisors=(1,),
            encoder=replace(TINY, steps=6),
            decoder=DecoderTrainingConfig(steps=6),
        ),
        "small": LrfScale(
            views=RenderConfig(),
            size=256,
            families=("vases", "hats", "bags"),
            training_objects=8,
            preset="small",
            fit_steps=None,
            divisors=(4, 2, 1),
            encoder=SMALL,
            decoder=DecoderTrainingConfig(),
        ),
        "paper": LrfScale(
            views=RenderConfig(views=200, size=512),
            size=512,
            families=("vases", "hats", "bags"),
            training_objects=11,
            preset="paper",
            fit_steps=None,
            divisors=(4, 2, 1),
            encoder=PAPER,
            decoder=DecoderTrainingConfig(
                steps=100_000, crop=512, learning_rate=4.5e-6, final_learning_rate=1.0
            ),
        ),
    }
)
"""By name. `paper` is unmeasured: it needs a GPU. The paper gives neither steps nor batches of stage III."""


@dataclass(frozen=True)
class LrfBench:
    """What is compared, and on what."""

    scale: Scale
    """Sizes."""
    seeds: int
    """Rendered objects per family, each fitted with a seed of its own; captured scenes are fitted with each seed."""
    field: FieldName
    """Representation of all scenes."""
    subpixels: int
    """Rendered features per latent along one side."""
    base: str
    """The plain autoencoder."""
    encoder: str | None
    """Its version after stage I; None trains it."""
    decoder: str | None
    """The plain autoencoder after stage III; None trains it."""
    both: str | None
    """`encoder` after stage III; None trains it."""
    training_scenes: tuple[Path, ...]
    """Scenes of the stages I and III, or folders of them; none renders objects of the training families."""
    training_photos: tuple[Path, ...]
    """Folders of photographs that the stages I and III go on reconstructing."""
    scenes: tuple[Path, ...]
    """Captured scenes to test on, or folders of them, beside the rendered ones."""

    def given(self) -> dict[str, str | None]:
        """Autoencoders by their roles, `STAGES`."""
        return {"base": self.base, "encoder": self.encoder, "decoder": self.decoder, "both": self.both}


def views_prefix(views: int | None) -> str:
    """What the names of fits to so many training views begin with; None stands for all views."""
    return "" if views is None else f"{views}-views-"
