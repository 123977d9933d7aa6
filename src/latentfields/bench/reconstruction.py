"""Images that nothing was trained on, through autoencoders: Table 12 of IG-AE."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from latentfields.bench.rows import Pivot, Record, Row, Value, lpips
from latentfields.bench.scales import FAMILIES
from latentfields.bench.study import Study, Workplace, missing_measures
from latentfields.config.checks import Checked, require_at_least
from latentfields.errors import ArgumentError
from latentfields.scenes.objects.config import RenderConfig

OBJECTS, SCENES, PHOTOGRAPHS = "generated objects", "scenes", "photographs"
"""Kinds of images."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionStudyConfig(Checked):
    """Measure how well autoencoders reconstruct images that nothing was trained on (IG-AE Table 12)."""

    kind: ClassVar[str] = "bench reconstruction"
    autoencoders: tuple[str, ...]
    """Packaged names, folders, or Hub ids of diffusers autoencoders."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs."""
    pattern: str = "*"
    """Pattern of the names of those that count."""
    limit: int = 5000
    """Photographs at most, the first by name."""
    scenes: tuple[Path, ...] = ()
    """Scenes, or folders of them; views of generated objects are reconstructed in any case."""
    objects: int = 6
    """Generated objects of each of the families vases, hats and bags."""
    size: int = 128
    """Side of all images, in pixels."""


def _read_inputs(config: ReconstructionStudyConfig, out: Path) -> None:
    from latentfields.autoencoders.evaluate import SMALLEST_SIZE
    from latentfields.autoencoders.image_data import load_renders, matching_photos
    from latentfields.bench.images import require_autoencoders

    if not config.autoencoders:
        raise ArgumentError("autoencoders", "name at least one")
    require_at_least("size", config.size, SMALLEST_SIZE)
    RenderConfig(size=config.size).check()
    require_autoencoders(config.autoencoders, size=config.size)
    matching_photos(config.photos, config.pattern)
    if config.scenes:
        load_renders(config.scenes, size=config.size)


def _measure(config: ReconstructionStudyConfig, place: Workplace) -> dict[str, dict[str, Any]]:
    """Return scores by kind of image and autoencoder."""
    from latentfields.autoencoders.image_data import renders_on_white
    from latentfields.bench.images import object_views, photographs, reconstruct

    size = config.size
    images: dict[str, Any] = {OBJECTS: partial(object_views, objects=config.objects, size=size)}
    if config.scenes:
        images[SCENES] = partial(renders_on_white, config.scenes, size=size)
    if config.photos:
        read = partial(photographs, config.photos, pattern=config.pattern, limit=config.limit, size=size)
        images[PHOTOGRAPHS] = read
    # Names of cells number the autoencoders, which may be folders.
    cells = {
        kind.removesuffix(" objects"): {
            str(number): partial(reconstruct, name, read, device=place.device)
            for number, name in enumerate(config.autoencoders)
        }
        for kind, read in images.items()
    }
    done = place.run_groups(cells, label="reconstructions")
    return {
        kind: dict(zip(config.autoencoders, scores.values(), strict=True))
        for kind, scores in zip(images, done.values(), strict=True)
    }


def autoencoder_rows(scores: Record) -> list[Row]:
    """Return the rows of scores by autoencoder."""
    return [Row.of(record, autoencoder=name) for name, record in scores.items()]


def reconstruction_table(kind: str, about: str = "") -> Pivot:
    """Return the table of scores of autoencoders on images of one kind, for where there are some."""
    return Pivot(
        f"{kind}{about}: {{images:.0f}} images",
        {"autoencoder": "autoencoder"},
        (
            Value("psnr", "PSNR", ".4g"),
            Value("ssim", "SSIM", ".4g"),
            Value("ms_gmsd", "MS-GMSD", ".4g"),
            *lpips(".4g"),
        ),
        kind=kind,
        optional=True,
    )


RECONSTRUCTION = Study(
    name="reconstruction",
    config=ReconstructionStudyConfig,
    title="Reconstruction of images that nothing was trained on",
    about="Images through autoencoders: what the decoder makes of the encoder's latents, against the image.",
    read_inputs=_read_inputs,
    measure=_measure,
    rows=lambda results: {kind: autoencoder_rows(scores) for kind, scores in results.items()},
    notes=missing_measures,
    tables=(
        reconstruction_table(OBJECTS, f" ({', '.join(FAMILIES)})"),
        reconstruction_table(SCENES),
        reconstruction_table(PHOTOGRAPHS),
    ),
)
