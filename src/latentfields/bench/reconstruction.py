"""Images that nothing was trained on, through autoencoders: Table 12 of IG-AE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.rows import Measured, Pivot, Record, Row, Value
from latentfields.bench.scales import FAMILIES
from latentfields.bench.study import Study, Workplace
from latentfields.config.checks import Checked, require_at_least
from latentfields.errors import ArgumentError
from latentfields.scenes.objects.config import RenderConfig

if TYPE_CHECKING:
    from latentfields.pages.report import Table

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
    from latentfields.autoencoders.image_data import load_renders
    from latentfields.bench.images import matching_photos, require_autoencoders

    if not config.autoencoders:
        raise ArgumentError("autoencoders", "name at least one")
    config.check()
    require_at_least("size", config.size, SMALLEST_SIZE)
    RenderConfig(size=config.size).check()
    require_autoencoders(config.autoencoders, size=config.size)
    matching_photos(config.photos, config.pattern)
    if config.scenes:
        load_renders(config.scenes, size=config.size)


def _measure(config: ReconstructionStudyConfig, place: Workplace) -> dict[str, dict[str, Any]]:
    """Return scores by kind of image and autoencoder."""
    from latentfields.bench.images import reconstruct_photos, reconstruct_views

    size, device = config.size, place.device
    views = partial(reconstruct_views, objects=config.objects, size=size, device=device)
    photos = partial(reconstruct_photos, photos=config.photos, size=size, device=device)
    photos = partial(photos, pattern=config.pattern, limit=config.limit)
    methods: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
        OBJECTS: ("generated", partial(views, scenes=()))
    }
    if config.scenes:
        methods[SCENES] = ("scenes", partial(views, scenes=config.scenes))
    if config.photos:
        methods[PHOTOGRAPHS] = ("photographs", photos)
    names = list(enumerate(config.autoencoders))
    cells = {
        f"{method}-{number}": partial(reconstruct, name)
        for number, name in names
        for method, reconstruct in methods.values()
    }
    done = place.run(cells, label="reconstructions")
    return {
        kind: {name: done[f"{method}-{number}"] for number, name in names}
        for kind, (method, _) in methods.items()
    }


def autoencoder_rows(scores: Record) -> list[Row]:
    """Return the rows of scores by autoencoder."""
    return [Row.of(record, autoencoder=name) for name, record in scores.items()]


def reconstruction_table(kind: str, rows: Sequence[Row]) -> Table | None:
    """Return the scores of autoencoders on images of one kind; None where there are none."""
    if not rows:
        return None
    families = f" ({', '.join(FAMILIES)})" if kind == OBJECTS else ""
    measures = {"psnr": "PSNR", "ssim": "SSIM", "ms_gmsd": "MS-GMSD"}
    measures |= {"lpips": "LPIPS (alex)", "lpips_vgg": "LPIPS (VGG)"}
    pivot = Pivot(
        f"{kind}{families}: {rows[0].values['images']:.0f} images",
        {"autoencoder": "autoencoder"},
        tuple(
            Value(name, title, ".4g", optional=name.startswith("lpips")) for name, title in measures.items()
        ),
        kind=kind,
    )
    return pivot.table({kind: rows})


def _table(config: ReconstructionStudyConfig, measured: Measured, *, kind: str) -> Table | None:
    return reconstruction_table(kind, measured.get(kind, ()))


RECONSTRUCTION = Study(
    name="reconstruction",
    config=ReconstructionStudyConfig,
    title="Reconstruction of images that nothing was trained on",
    about="Images through autoencoders: what the decoder makes of the encoder's latents, against the image.",
    read_inputs=_read_inputs,
    measure=_measure,
    rows=lambda results: {kind: autoencoder_rows(scores) for kind, scores in results.items()},
    tables=tuple(partial(_table, kind=kind) for kind in (OBJECTS, SCENES, PHOTOGRAPHS)),
)
