"""Benchmarks that version 0.1.0 ran (`stored/bench/`): their cells give the same results, these the same tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from latentfields.bench import (
    ablations,
    convergence_report,
    grid_tables,
    igae_report,
    lrf_report,
    reconstruction,
)
from latentfields.bench.ablations import run_ablations
from latentfields.bench.ablations_config import Ablations
from latentfields.bench.autoencoders import run_autoencoder_bench
from latentfields.bench.autoencoders_config import AutoencoderBench
from latentfields.bench.convergence import run_convergence
from latentfields.bench.grid import run_fit_grid
from latentfields.bench.grid_config import FitGrid
from latentfields.bench.igae import run_igae_bench
from latentfields.bench.igae_config import IgaeBench
from latentfields.bench.lrf import run_lrf_bench
from latentfields.bench.lrf_config import LrfBench
from latentfields.bench.markdown import markdown
from latentfields.bench.reconstruction import ReconstructionBench, run_reconstruction_bench
from latentfields.config.typed_json import from_json
from latentfields.files import read_json
from latentfields.pages.report import Table

STORED = Path(__file__).parents[1] / "stored"


@dataclass(frozen=True)
class Stored:
    """A benchmark that was run."""

    results: str
    """File of the results, as its command prints them with --json."""
    tables: dict[str, Callable[[Any], Sequence[Table]]]
    """For each file of text, the function that makes its tables of the results."""
    run: Callable[[Path], Any]
    """Goes on with the benchmark in a folder, as its command does."""


def grid(out: Path) -> FitGrid:
    return from_json(FitGrid, read_json(out / "config.json"), source=out)


def rerun_ablations(out: Path) -> Any:
    file = out / "ablations" / "config.json"
    return run_ablations(from_json(Ablations, read_json(file), source=file), grid(out), out, processes=1)


def rerun_autoencoders(out: Path) -> Any:
    config = AutoencoderBench(spaces=grid(out).spaces, training_scenes=(), training_photos=())
    return run_autoencoder_bench(config, grid(out), out, processes=1)


def rerun_igae(out: Path) -> Any:
    file = out / "config.json"
    return run_igae_bench(from_json(IgaeBench, read_json(file), source=file), out, processes=1)


def rerun_lrf(out: Path) -> Any:
    file = out / "config.json"
    return run_lrf_bench(from_json(LrfBench, read_json(file), source=file), out, processes=1)


def rerun_reconstruction(out: Path) -> Any:
    file = out / "config.json"
    config = from_json(ReconstructionBench, read_json(file), source=file)
    return run_reconstruction_bench(config, out, processes=1)


BENCHMARKS = {
    "ablations": Stored("ablations/results.json", {"tables.md": ablations.tables}, rerun_ablations),
    "autoencoders": Stored("printed.json", {"tables.md": grid_tables.by_autoencoder}, rerun_autoencoders),
    "convergence": Stored(
        "convergence.json",
        {
            "tables-8.md": lambda fits: convergence_report.tables(fits, quality=8.0),
            "tables-25.md": lambda fits: convergence_report.tables(fits, quality=25.0),
        },
        lambda out: run_convergence(grid(out), out, plain=True, processes=1),
    ),
    "fields": Stored(
        "results.json",
        {
            "table1.md": grid_tables.novel_views,
            "table4.md": grid_tables.stages,
            "latent-nvs.md": grid_tables.latent_novel_views,
            "rgb-vs-latent.md": grid_tables.against_rgb,
        },
        lambda out: run_fit_grid(grid(out), out, processes=1),
    ),
    "igae": Stored("results.json", {"tables.md": igae_report.tables}, rerun_igae),
    "lrf": Stored("results.json", {"tables.md": lrf_report.tables}, rerun_lrf),
    "reconstruction": Stored("results.json", {"tables.md": reconstruction.tables}, rerun_reconstruction),
}


def without_notes(results: Any) -> Any:
    """Notes say which packages the machine lacks, and are in no table."""
    if isinstance(results, dict):
        return {name: value for name, value in results.items() if name != "notes"}
    return results


@pytest.mark.parametrize(
    ("name", "file"), [(name, file) for name, stored in BENCHMARKS.items() for file in stored.tables]
)
def test_results_give_the_tables_that_were_printed(name: str, file: str) -> None:
    stored, folder = BENCHMARKS[name], STORED / "bench" / name
    tables = stored.tables[file](read_json(folder / stored.results))
    assert "\n\n".join(map(markdown, tables)) + "\n" == (folder / file).read_text()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_cells_give_the_results_that_were_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, out = BENCHMARKS[name], Path("bench") / name
    shutil.copytree(STORED / out, tmp_path / out)
    for folder in ("autoencoders", "photos", "scenes"):
        (tmp_path / folder).symlink_to(STORED / folder)
    (tmp_path / out / stored.results).unlink()
    # Paths in the files are relative.
    monkeypatch.chdir(tmp_path)
    again = json.loads(json.dumps(stored.run(out)))
    expected = read_json(STORED / out / stored.results)
    assert without_notes(again) == without_notes(expected)
    if stored.results != "printed.json":
        assert read_json(out / stored.results) == again
    cells = {path.name: path.read_bytes() for path in (out / "cells").iterdir()}
    # None was computed again, and none is new.
    assert cells == {path.name: path.read_bytes() for path in (STORED / out / "cells").iterdir()}
