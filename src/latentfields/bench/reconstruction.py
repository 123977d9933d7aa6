"""`latentfields bench reconstruction` (IG-AE Table 12): images that nothing was trained on, through autoencoders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from latentfields.autoencoders.evaluate import SMALLEST_SIZE
from latentfields.autoencoders.image_data import load_renders
from latentfields.bench.jobs import (
    PhotosJob,
    ViewsJob,
    matching_photos,
    reconstruct,
    reconstruct_views,
    require_autoencoders,
)
from latentfields.config.checks import Range, check_fields, require_at_least
from latentfields.config.typed_json import to_json
from latentfields.errors import InputError
from latentfields.files import write_json
from latentfields.pages.report import Table
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.procedural import EVALUATION_FAMILIES
from latentfields.training.jobs import Cell, run_cells
from latentfields.training.runs import claim_run

MEASURES = ("psnr", "ssim", "ms_gmsd")


@dataclass(frozen=True)
class ReconstructionBench:
    """What is reconstructed by what."""

    autoencoders: tuple[str, ...]
    """Names or folders."""
    photos: tuple[Path, ...]
    """Folders of photographs."""
    pattern: str
    """Names of those that count."""
    limit: int
    """At most so many photographs, the first by name."""
    scenes: tuple[Path, ...]
    """Scenes, or folders of them; views of generated objects are reconstructed in any case."""
    objects: int
    """Generated objects per evaluation family."""
    size: Annotated[int, Range(low=SMALLEST_SIZE)]
    """Side of all images, in pixels."""

    def check(self) -> None:
        """Raise InputError when a value is out of range, or something that is named cannot be used."""
        if not self.autoencoders:
            raise InputError("autoencoders", "name at least one")
        check_fields(self)
        RenderConfig(size=self.size).check()
        require_autoencoders(self.autoencoders, size=self.size)
        matching_photos(self.photos, self.pattern)
        if self.scenes:
            load_renders(self.scenes, size=self.size)


def run_reconstruction_bench(config: ReconstructionBench, out: Path, *, processes: int) -> dict[str, Any]:
    """Scores by kind of image and autoencoder; what `out` has already is not computed again.

    Raises InputError for unusable input, and when `out` holds a benchmark with other settings.
    """
    require_at_least("processes", processes, 1)
    # Input is read before the folder is claimed: bad input leaves nothing behind.
    config.check()
    claim_run(out, to_json(config))
    cells: dict[tuple[str, str], Cell] = {}
    for number, name in enumerate(config.autoencoders):
        views = ViewsJob(name, (), config.objects, config.size)
        cells["generated objects", name] = Cell(f"generated-{number}", reconstruct_views, views)
        if config.scenes:
            views = ViewsJob(name, config.scenes, config.objects, config.size)
            cells["scenes", name] = Cell(f"scenes-{number}", reconstruct_views, views)
        if config.photos:
            photos = PhotosJob(name, config.photos, config.pattern, config.limit, config.size)
            cells["photographs", name] = Cell(f"photographs-{number}", reconstruct, photos)
    done = run_cells(list(cells.values()), out, processes=processes, label="reconstructions")
    results: dict[str, Any] = {}
    for (kind, name), cell in cells.items():
        results.setdefault(kind, {})[name] = done[cell.name]
    write_json(out / "results.json", results)
    return results


def tables(results: dict[str, Any]) -> list[Table]:
    """One table for every kind of image."""
    return [reconstruction_table(kind, rows) for kind, rows in results.items()]


def reconstruction_table(kind: str, rows: Mapping[str, Any]) -> Table:
    """Scores of autoencoders (`bench.jobs`), by name, on images of one kind."""
    count = next(iter(rows.values()))["images"]
    families = f" ({', '.join(EVALUATION_FAMILIES)})" if kind.startswith("generated") else ""
    cells = tuple((name, *(f"{v[measure]:.4g}" for measure in MEASURES)) for name, v in rows.items())
    return Table(f"{kind}{families}: {count} images", ("autoencoder", "PSNR", "SSIM", "MS-GMSD"), cells)
