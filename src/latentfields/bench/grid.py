"""The cells behind Tables 1, 4, 5 to 11 and 13 of IG-AE: every NeRF in every space on every object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentfields.bench.cells import Cell, run_cells
from latentfields.bench.grid_config import GRID_SCALES, FitGrid
from latentfields.bench.nvs import FitJob, fit_and_score
from latentfields.bench.objects import bench_objects, rendering_cell
from latentfields.errors import InputError
from latentfields.training.checkpoint import write_json
from latentfields.training.runs import claim_run
from latentfields.training.typed_json import to_json

FIRST_SEED = 700
"""Number of the first object of each family."""


def run_fit_grid(config: FitGrid, out: Path, *, processes: int) -> list[dict[str, Any]]:
    """Run what is missing in `out`; scores of every fit, with its field, space, family and seed.

    Raises InputError for unusable input, and when `out` holds a benchmark with other settings.
    """
    _check(config, processes)
    claim_run(out, to_json(config))
    scale = GRID_SCALES[config.scale]
    objects = bench_objects(
        out / "objects", families=config.families, meshes=config.meshes,
        seeds=range(FIRST_SEED, FIRST_SEED + config.seeds), options=scale.views,
    )  # fmt: skip
    run_cells([rendering_cell(item) for item in objects], out, processes=processes, label="objects")
    cells: list[tuple[dict[str, Any], Cell]] = []
    for field in config.fields:
        for number, space in enumerate(config.spaces):
            for item in objects:
                name = f"fit-{field}-{number}-{item.name}"
                job = FitJob(
                    scene=item.scene, autoencoder=None if space == "rgb" else space,
                    config=scale.fit(field, space=space, seed=item.seed), folder=out / "fits" / name,
                    picture=out / "pictures" / f"{name}.png",
                )  # fmt: skip
                labels = {"field": field, "space": space, "family": item.family, "seed": item.seed}
                cells.append((labels, Cell(name, fit_and_score, job)))
    done = run_cells([cell for _, cell in cells], out, processes=processes, label="fits")
    fits = [labels | done[cell.name] for labels, cell in cells]
    write_json(out / "results.json", fits)
    return fits


def _check(config: FitGrid, processes: int) -> None:
    for option, value in (("--seeds", config.seeds), ("--processes", processes)):
        if value < 1:
            raise InputError(option, f"is {value}; expected at least 1")
    for option, names in (("--fields", config.fields), ("--spaces", config.spaces)):
        if not names:
            raise InputError(option, "name at least one")
    if not config.families and not config.meshes:
        raise InputError("--families", "name at least one family, or meshes")
