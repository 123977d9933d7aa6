"""What `latentfields bench igae` runs at each scale. Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from latentfields.igae.config import PAPER, SMALL, TINY, IgaeConfig
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.scenes.render_options import RenderOptions

Scale = Literal["tiny", "small", "paper"]


@dataclass(frozen=True)
class IgaeScale:
    """Sizes of the benchmark."""

    training: IgaeConfig
    """How autoencoders are trained that are not given."""
    views: RenderOptions
    """How the objects are rendered that latent NeRFs are fitted to."""
    fit: FitConfig
    """How latent NeRFs are fitted: one ray per latent, as in the paper."""
    score_objects: int
    """Objects per family of the 3D-awareness score."""
    photos: int
    """Photographs that reconstruction is measured on, at most."""


def _stages(supervision: int, alignment: int) -> FitConfig:
    return FitConfig(
        subpixels=1,
        batch_images=2,
        supervision=StageConfig(supervision, 1.0),
        alignment=StageConfig(alignment, 0.5),
    )


SCALES: Mapping[Scale, IgaeScale] = MappingProxyType(
    {
        "tiny": IgaeScale(
            training=replace(
                TINY,
                pretraining=replace(TINY.pretraining, epochs=1.0),
                joint=replace(TINY.joint, epochs=1.0),
            ),
            views=RenderOptions(views=16, size=64, samples=2, test_fraction=0.25, val_fraction=0.0),
            fit=_stages(40, 40),
            score_objects=1,
            photos=16,
        ),
        "small": IgaeScale(
            training=SMALL, views=RenderOptions(), fit=_stages(400, 600), score_objects=2, photos=100
        ),
        "paper": IgaeScale(
            training=PAPER,
            views=RenderOptions(views=178),
            fit=replace(_stages(10_000, 15_000), batch_images=4),
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

    def given(self) -> dict[str, str | None]:
        """Autoencoders by their roles."""
        return {
            "base": self.start,
            "igae": self.igae,
            "no-3d": self.no_3d,
            "no-preservation": self.no_preservation,
        }
