"""`latentfields bench convergence`: quality against training time, with and without what makes training fast."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentfields.bench.grid import grid_fits, run_fit_grid
from latentfields.bench.grid_config import FitGrid
from latentfields.bench.nvs import FitJob, fit_and_score
from latentfields.files import write_json
from latentfields.rendering.config import EvenSamplingConfig
from latentfields.training.jobs import Cell, run_cells, start_worker

FAST, PLAIN = "fast", "plain"
"""The usual path, and the one without: plain PyTorch in float32, and even samples of which none is skipped."""


def run_convergence(config: FitGrid, out: Path, *, plain: bool, processes: int) -> list[dict[str, Any]]:
    """Scores of `run_fit_grid` with the path that was taken, and with `plain` all fits once more on the other path.

    Raises InputError for unusable input, and when `out` holds a benchmark with other settings.
    """
    results = [fit | {"path": FAST} for fit in run_fit_grid(config, out, processes=processes)]
    if plain:
        fits = grid_fits(config, out)
        cells = [
            Cell(
                f"{PLAIN}-{fit.name}",
                fit_and_score_plainly,
                _plain(fit.job, out / "fits" / f"{PLAIN}-{fit.name}"),
            )
            for fit in fits
        ]
        done = run_cells(cells, out, processes=processes, label="plain fits")
        results += [
            fit.labels | done[cell.name] | {"path": PLAIN, "picture": f"pictures/{cell.name}.png"}
            for fit, cell in zip(fits, cells, strict=True)
        ]
    write_json(out / "convergence.json", results)
    return results


def _plain(job: FitJob, folder: Path) -> FitJob:
    config = replace(job.config, sampling=EvenSamplingConfig(), decoder_precision="float32")
    return replace(job, config=config, folder=folder, picture=job.picture.with_name(f"{folder.name}.png"))


def fit_and_score_plainly(job: FitJob) -> dict[str, Any]:
    """`fit_and_score` with plain-PyTorch kernels: in a new process, as a process keeps to one kind of kernels."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_start_plain_worker) as pool:
        return pool.submit(fit_and_score, job).result()


def _start_plain_worker() -> None:
    os.environ["LATENTFIELDS_KERNELS"] = "torch"
    start_worker()


def time_to(curve: Sequence[Mapping[str, float]], quality: float, *, measure: str) -> float | None:
    """When a curve (`nvs.quality_curve`) first reaches `quality` dB, linearly between its points; None if never.

    `measure` is step, seconds or cpu_seconds. The first point counts as a whole: what was before is not known.
    """
    for index, point in enumerate(curve):
        if point["psnr"] >= quality:
            if index == 0:
                return point[measure]
            before = curve[index - 1]
            share = (quality - before["psnr"]) / (point["psnr"] - before["psnr"])
            return before[measure] + share * (point[measure] - before[measure])
    return None
