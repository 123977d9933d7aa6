"""What `latentfields bench igae` runs at each scale. Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from latentfields.fields.config import RayFieldName
from latentfields.igae.config import PAPER, SMALL, TINY, IgaeConfig
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.presets import PresetName, preset
from latentfields.scenes.objects.config import RenderConfig

Scale = Literal["tiny", "small", "paper"]


@dataclass(frozen=True)
class IgaeScale:
    """Sizes of the benchmark."""

    training: IgaeConfig
    """How autoencoders are trained that are not given."""
    views: RenderConfig
    """How the objects are rendered that latent NeRFs are fitted to."""
    preset: PresetName
    """Which settings of a field are taken."""
    steps: tuple[int, int] | None
    """Steps of Latent Supervision and RGB Alignment; None takes the preset's."""
    batch_images: int
    """Whole latent images per step."""
    score_objects: int
    """Objects per family of the 3D-awareness score."""
    photos: int
    """Photographs that reconstruction is measured on, at most."""


SCALES: Mapping[Scale, IgaeScale] = MappingProxyType(
    {
        "tiny": IgaeScale(
            training=replace(
                TINY,
                pretraining=replace(TINY.pretraining, epochs=1.0),
                joint=replace(TINY.joint, epochs=1.0),
            ),
            views=RenderConfig(views=16, size=64, samples=2, test_fraction=0.25, val_fraction=0.0),
            preset="small",
            steps=(40, 40),
            batch_images=2,
            score_objects=1,
            photos=16,
        ),
        "small": IgaeScale(
            training=SMALL,
            views=RenderConfig(),
            preset="small",
            steps=(400, 600),
            batch_images=2,
            score_objects=2,
            photos=100,
        ),
        "paper": IgaeScale(
            training=PAPER,
            views=RenderConfig(views=178),
            preset="paper",
            steps=None,
            batch_images=4,
            score_objects=4,
            photos=5000,
        ),
    }
)
"""By name. `paper` is unmeasured: it needs a GPU."""


@dataclass(frozen=True)
class IgaeBench:
    """What is compared, and on what."""

    scale: Scale
    """Sizes."""
    seeds: int
    """Objects per family, each fitted with a seed of its own."""
    start: str
    """The plain autoencoder, which the others were trained from."""
    igae: str | None
    """Its 3D-aware version; None trains it."""
    no_3d: str | None
    """Trained as long without L_3D; None trains it."""
    no_preservation: str | None
    """Trained without L_ae; None trains it."""
    training_scenes: tuple[Path, ...]
    """Scenes to train on; none generates some at the scale tiny, and leaves out what is not given at others."""
    training_photos: tuple[Path, ...]
    """Photographs to train on; likewise."""
    test_photos: tuple[Path, ...]
    """Photographs that nothing was trained on."""
    test_pattern: str
    """Names of those that count."""
    meshes: tuple[Path, ...]
    """Mesh files that nothing was trained on: one more family."""
    field: RayFieldName
    """What is fitted to the objects."""
    subpixels: int
    """Rays per latent along one side: 1, the paper's, or an even number, mixed by a learned projection."""
    alignment_factor: float | None
    """Multiplies the field's learning rates during RGB Alignment (xi_align); None takes the preset's."""
    decoder_learning_rate: float | None
    """Of the decoder during RGB Alignment; None takes the preset's."""

    def given(self) -> dict[str, str | None]:
        """Autoencoders by their roles."""
        return {
            "base": self.start,
            "igae": self.igae,
            "no-3d": self.no_3d,
            "no-preservation": self.no_preservation,
        }

    def fit(self, seed: int) -> FitConfig:
        """How an object with this seed is fitted."""
        scale = SCALES[self.scale]
        config = preset(self.field, scale.preset)
        supervision, alignment = scale.steps or (config.supervision.steps, config.alignment.steps)
        config = replace(
            config,
            subpixels=self.subpixels,
            batch_images=scale.batch_images,
            supervision=replace(config.supervision, steps=supervision),
            alignment=replace(config.alignment, steps=alignment),
            seed=seed,
        )
        if self.alignment_factor is not None:
            config = replace(config, alignment=StageConfig(alignment, self.alignment_factor))
        if self.decoder_learning_rate is not None:
            config = replace(config, decoder_learning_rate=self.decoder_learning_rate)
        return config
