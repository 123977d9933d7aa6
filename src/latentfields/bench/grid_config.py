"""What the tables of latent NeRFs run at each scale. Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from latentfields.bench.igae_config import Scale
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.presets import PresetName, preset
from latentfields.scenes.objects.config import RenderConfig

PAPER_FIELDS: tuple[FieldName, ...] = ("vanilla", "instant-ngp", "tensorf", "kplanes")
"""The NeRFs of the paper's tables."""


@dataclass(frozen=True)
class GridScale:
    """Sizes of the benchmark."""

    views: RenderConfig
    """How the objects are rendered."""
    preset: PresetName
    """Which settings of a field are taken."""
    steps: tuple[int, int] | None
    """Steps of Latent Supervision and RGB Alignment; None takes the preset's."""
    batch_images: int
    """Whole latent images per step."""
    subpixels: int
    """Rays per latent along one side."""

    def fit(self, field: FieldName, *, space: str, seed: int) -> FitConfig:
        """How one NeRF is fitted, in "latent" or "rgb" space."""
        config = preset(field, self.preset, space="rgb" if space == "rgb" else "latent")
        if self.steps is not None:
            supervision, alignment = self.steps
            config = replace(
                config,
                supervision=StageConfig(supervision, config.supervision.learning_rate_factor),
                alignment=StageConfig(alignment, config.alignment.learning_rate_factor),
            )
        return replace(
            config,
            batch_images=self.batch_images,
            subpixels=self.subpixels,
            seed=seed,
        )


GRID_SCALES: Mapping[Scale, GridScale] = MappingProxyType(
    {
        "tiny": GridScale(
            views=RenderConfig(views=16, size=64, samples=2, test_fraction=0.25, val_fraction=0.0),
            preset="small",
            steps=(10, 10),
            batch_images=2,
            subpixels=1,
        ),
        "small": GridScale(
            views=RenderConfig(), preset="small", steps=(400, 600), batch_images=2, subpixels=2
        ),
        "paper": GridScale(
            views=RenderConfig(views=300), preset="paper", steps=None, batch_images=4, subpixels=1
        ),
    }
)
"""By name. `small` fits as `latentfields fit` does; `paper` as in Table 16, unmeasured: it needs a GPU."""


@dataclass(frozen=True)
class FitGrid:
    """NeRFs, spaces and objects: everything is fitted with everything."""

    scale: Scale
    """Sizes."""
    seeds: int
    """Objects per family, each fitted with a seed of its own."""
    fields: tuple[FieldName, ...]
    """Representations."""
    spaces: tuple[str, ...]
    """Names or folders of autoencoders; "rgb" fits colours."""
    families: tuple[str, ...]
    """Families of generated objects."""
    meshes: tuple[Path, ...]
    """Mesh files: one more family."""
