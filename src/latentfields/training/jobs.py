"""Cells of a benchmark: independent jobs in parallel processes, each done once and kept as a JSON file."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentfields.files import read_json, write_json
from latentfields.process import end_with_parent, set_threads, tune_allocator
from latentfields.progress import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

CELLS_FOLDER = "cells"


@dataclass(frozen=True)
class Cell:
    """One job of a benchmark."""

    name: str
    """Unique in the benchmark, and good as a file name."""
    job: Callable[[Any], dict[str, Any]]
    """A function of a module, so that other processes can import it. Its result is JSON."""
    arguments: Any
    """What it is called with."""


def run_cells(
    cells: Sequence[Cell], folder: Path, *, processes: int, label: str
) -> dict[str, dict[str, Any]]:
    """Results by cell name, in the order of `cells`; finished ones are read from `folder`, not computed again.

    Every process uses one thread. A cell that fails ends the benchmark with its error, once those that are running
    have ended; what was finished is kept. Run again to go on.
    """
    missing = [cell for cell in cells if not _path(folder, cell).exists()]
    done = len(cells) - len(missing)
    with progress_bar(label, total=len(cells), initial=done, unit="cell") as progress:
        if processes == 1:
            for cell in missing:
                _keep(folder, cell, cell.job(cell.arguments))
                progress.update()
        else:
            _run_in_parallel(missing, folder, processes, progress)
    return {cell.name: read_json(_path(folder, cell)) for cell in cells}


def _run_in_parallel(cells: Sequence[Cell], folder: Path, processes: int, progress: tqdm[Any]) -> None:
    # Forked children would share the state of the parent's threads; spawned ones start clean.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=start_worker) as pool:
        futures: dict[Future[dict[str, Any]], Cell] = {
            pool.submit(cell.job, cell.arguments): cell for cell in cells
        }
        try:
            for future in as_completed(futures):
                _keep(folder, futures[future], future.result())
                progress.update()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def start_worker() -> None:
    """Settings of a process that runs cells."""
    end_with_parent()
    tune_allocator()
    set_threads(1)


def _keep(folder: Path, cell: Cell, result: dict[str, Any]) -> None:
    write_json(_path(folder, cell), result)


def _path(folder: Path, cell: Cell) -> Path:
    return folder / CELLS_FOLDER / f"{cell.name}.json"
