"""The cells behind Tables 1, 2, 4 to 11, 13 and 14 of IG-AE: every NeRF in every space on every object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentfields.bench.grid_config import GRID_SCALES, FitGrid
from latentfields.bench.jobs import require_autoencoders
from latentfields.bench.nvs import FitJob, fit_and_score
from latentfields.bench.objects import BenchObject, bench_objects, rendering_cell, require_objects
from latentfields.config.checks import require_at_least
from latentfields.config.typed_json import to_json
from latentfields.errors import InputError
from latentfields.files import write_json
from latentfields.training.jobs import Cell, run_cells
from latentfields.training.runs import claim_run

RESULTS_FILE = "results.json"
FIRST_SEED = 700
"""Number of the first object of each family."""


@dataclass(frozen=True)
class GridFit:
    """One fit of the grid, yet to be done."""

    labels: dict[str, Any]
    """Its field, space, family and seed, and the file of its picture in the benchmark's folder."""
    name: str
    job: FitJob


def run_fit_grid(config: FitGrid, out: Path, *, processes: int) -> list[dict[str, Any]]:
    """Run what is missing in `out`; scores of every fit (`nvs.fit_and_score`), with its labels (`GridFit`).

    Raises InputError for unusable input, and when `out` holds a benchmark with other settings.
    """
    claim_grid(config, out, given=config.spaces, processes=processes)
    objects = [rendering_cell(item) for item in _objects(config, out)]
    run_cells(objects, out, processes=processes, label="objects")
    fits = grid_fits(config, out)
    cells = [Cell(fit.name, fit_and_score, fit.job) for fit in fits]
    done = run_cells(cells, out, processes=processes, label="fits")
    results = [fit.labels | done[fit.name] for fit in fits]
    write_json(out / RESULTS_FILE, results)
    return results


def claim_grid(config: FitGrid, out: Path, *, given: Iterable[str], processes: int) -> None:
    """Begin, or go on with, this benchmark in `out`; raises InputError as `run_fit_grid` does.

    `given` are those of its spaces that are not yet to be trained.
    """
    # Input is read before the folder is claimed: bad input leaves nothing behind.
    _check(config, processes)
    size = GRID_SCALES[config.scale].views.size
    require_autoencoders((space for space in given if space != "rgb"), size=size)
    require_objects(config.families, config.meshes)
    claim_run(out, to_json(config))


def grid_fits(config: FitGrid, out: Path) -> list[GridFit]:
    """All fits, by field, then space, then object. Names number the spaces, which may be folders."""
    fits = []
    for field in config.fields:
        for number, space in enumerate(config.spaces):
            for item in _objects(config, out):
                name = f"fit-{field}-{number}-{item.name}"
                picture = Path("pictures") / f"{name}.png"
                job = FitJob(
                    scene=item.scene,
                    autoencoder=None if space == "rgb" else space,
                    config=GRID_SCALES[config.scale].fit(field, space=space, seed=item.seed),
                    folder=out / "fits" / name,
                    picture=out / picture,
                )
                labels = {
                    "field": field,
                    "space": space,
                    "family": item.family,
                    "seed": item.seed,
                    "picture": str(picture),
                }
                fits.append(GridFit(labels, name, job))
    return fits


def _objects(config: FitGrid, out: Path) -> list[BenchObject]:
    return bench_objects(
        out / "objects",
        families=config.families,
        meshes=config.meshes,
        seeds=range(FIRST_SEED, FIRST_SEED + config.seeds),
        options=GRID_SCALES[config.scale].views,
    )


def _check(config: FitGrid, processes: int) -> None:
    for option, value in (("seeds", config.seeds), ("processes", processes)):
        require_at_least(option, value, 1)
    for option, names in (("--fields", config.fields), ("--spaces", config.spaces)):
        if not names:
            raise InputError(option, "name at least one")
    if not config.families and not config.meshes:
        raise InputError("--families", "name at least one family, or meshes")
