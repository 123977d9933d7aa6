"""`latentfields bench ablations` (IG-AE Tables 2 and 10): what L_3D and preservation are worth, each left out once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentfields.bench.ablations_config import Ablations
from latentfields.bench.grid import claim_grid, run_fit_grid
from latentfields.bench.grid_config import FitGrid
from latentfields.bench.grid_tables import by_family, novel_views
from latentfields.bench.igae_config import SCALES
from latentfields.bench.igae_training import train_roles, trained_folder
from latentfields.bench.jobs import PhotosJob, matching_photos, reconstruct
from latentfields.bench.reconstruction import reconstruction_table
from latentfields.bench.training_data import TrainingData, generated_training_data
from latentfields.config.typed_json import to_json
from latentfields.errors import InputError
from latentfields.files import write_json
from latentfields.igae.data import require_data
from latentfields.pages.report import Table
from latentfields.training.jobs import Cell, run_cells
from latentfields.training.runs import claim_run, is_claimed

FOLDER = "ablations"
"""In the benchmark's folder: what was trained, and the results."""


def run_ablations(config: Ablations, grid: FitGrid, out: Path, *, processes: int) -> dict[str, Any]:
    """Train what was not given, fit `grid` in the spaces of all roles, reconstruct the photographs.

    `spaces` of the grid are replaced by the autoencoders, so that its other tables can be made of the same folder.
    Returns `fits` as of `run_fit_grid`, with the role as `space`, and `photos` by role.
    Raises InputError for unusable input, and when `out` holds a benchmark with other settings.
    """
    folder = out / FOLDER
    names = {role: name or trained_folder(folder, role) for role, name in config.given().items()}
    roles = {name: role for role, name in names.items()}
    if len(roles) < len(names) or "rgb" in roles:
        raise InputError("autoencoders", f"are {', '.join(names.values())}; expected four different ones")
    missing = [role for role, name in config.given().items() if name is None]
    data = TrainingData(config.training_scenes, config.training_photos)
    generates = bool(missing) and grid.scale == "tiny" and not data.scenes
    if missing and not generates and not data.complete:
        raise InputError(
            f"--{missing[0]}", "give it, or --training-scenes and --training-photos to train it on"
        )
    grid = replace(grid, spaces=tuple(names.values()))
    scale = SCALES[grid.scale]
    # Input is read before the folders are claimed: bad input leaves nothing behind.
    matching_photos(config.test_photos, config.test_pattern)
    if missing and not generates and not is_claimed(out):
        require_data(scale.training, data.scenes, data.photos)
    claim_grid(grid, out, given=filter(None, config.given().values()), processes=processes)
    claim_run(folder, to_json(config))
    if generates:
        data = generated_training_data(folder, scale.views, out, processes=processes)
    train_roles(
        missing,
        out,
        start=config.base,
        config=scale.training,
        data=data,
        folder=folder,
        command="latentfields bench ablations",
        processes=processes,
    )
    fits = run_fit_grid(grid, out, processes=processes)
    results = {
        "fits": [fit | {"space": roles[fit["space"]]} for fit in fits],
        "photos": _photos(config, names, grid, out, processes=processes),
    }
    write_json(folder / "results.json", results)
    return results


def _photos(
    config: Ablations, names: Mapping[str, str], grid: FitGrid, out: Path, *, processes: int
) -> dict[str, Any]:
    """Scores of the reconstructed photographs, by role; none without photographs."""
    if not config.test_photos:
        return {}
    scale = SCALES[grid.scale]
    cells = {}
    for role, name in names.items():
        job = PhotosJob(name, config.test_photos, config.test_pattern, scale.photos, scale.views.size)
        cells[role] = Cell(f"photos-{role}", reconstruct, job)
    done = run_cells(list(cells.values()), out, processes=processes, label="photographs")
    return {role: done[cell.name] for role, cell in cells.items()}


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Novel views (Table 10) and reconstruction (the other half of Table 2), both by role."""
    fits: Sequence[Mapping[str, Any]] = results["fits"]
    # The autoencoder alone does not depend on the NeRF that was fitted.
    first = [fit for fit in fits if fit["field"] == fits[0]["field"]]
    title = "Reconstruction by the autoencoder alone: PSNR of the same views, dB"
    views = by_family(first, "autoencoder_psnr", title)
    rows = tuple(row[1:] for row in views.rows)
    found = [*novel_views(fits), Table(title, views.columns[1:], rows)]
    if photos := results["photos"]:
        found.append(reconstruction_table("photographs", photos))
    return found
