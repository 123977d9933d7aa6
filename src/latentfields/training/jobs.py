"""Independent jobs in parallel processes, one device for each process; and cells: jobs whose results are kept."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing.queues import Queue
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from latentfields.errors import InputError
from latentfields.files import read_json, write_json
from latentfields.process import end_with_parent, set_threads, tune_allocator
from latentfields.progress import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm

CELLS_FOLDER = "cells"

_VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True)
class Job(Generic[A, R]):
    """A function and what it is called with."""

    name: str
    """Unique among those that run together, and good as a file name."""
    job: Callable[[A], R]
    """A function of a module, so that other processes can import it."""
    arguments: A
    """What it is called with; other processes get a copy."""


class Cell(Job[Any, dict[str, Any]]):
    """A job whose result is JSON, done once and kept as a file."""


def run_jobs(
    jobs: Sequence[Job[A, R]],
    *,
    processes: int,
    label: str,
    done: Callable[[Job[A, R], R], None] = lambda job, result: None,
    finished: int = 0,
) -> None:
    """Run all jobs, `processes` at a time, and call `done` here with each and its result, as they end.

    One process does the jobs here, in order; of several, each uses one thread and sees one GPU, in turn where there
    are fewer, so that the device "auto" is another one in each. The bar also counts `finished` jobs of before. A job
    that fails ends everything with its error, once those that are running have ended.
    """
    total = finished + len(jobs)
    with progress_bar(label, total=total, initial=finished, unit="job") as progress:
        if processes == 1:
            for job in jobs:
                done(job, job.job(job.arguments))
                progress.update()
        else:
            _run_in_parallel(jobs, processes, done, progress)


def run_cells(
    cells: Sequence[Cell], folder: Path, *, processes: int, label: str
) -> dict[str, dict[str, Any]]:
    """Results by cell name, in the order of `cells`; finished ones are read from `folder`, not computed again.

    Cells run as `run_jobs` says. What was finished before an error is kept. Run again to go on.
    """
    missing = [cell for cell in cells if not _path(folder, cell).exists()]
    run_jobs(
        missing,
        processes=processes,
        label=label,
        done=lambda cell, result: write_json(_path(folder, cell), result),
        finished=len(cells) - len(missing),
    )
    return {cell.name: _finished(_path(folder, cell)) for cell in cells}


_LARGEST = 1e100
"""Of what is measured; squares and sums of larger numbers are no numbers."""


def _finished(file: Path) -> dict[str, Any]:
    """The result in a cell's file. Raises InputError when it holds none."""
    result = read_json(file)
    if not isinstance(result, dict) or not _is_measured(result):
        raise InputError(file, "is no result of this study; delete it to compute it again")
    return result


def _is_measured(value: Any) -> bool:
    """True when all numbers in a JSON value can have been measured."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict | list):
            waiting += item.values() if isinstance(item, dict) else item
        elif isinstance(item, int | float) and not abs(item) <= _LARGEST:
            return False
    return True


def _run_in_parallel(
    jobs: Sequence[Job[A, R]], processes: int, done: Callable[[Job[A, R], R], None], progress: tqdm[Any]
) -> None:
    # Forked children would share the state of the parent's threads; spawned ones start clean.
    context = multiprocessing.get_context("spawn")
    slots = context.Queue()
    for slot in range(processes):
        slots.put(slot)
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_start_in_slot, initargs=(slots, visible_devices())
    ) as pool:
        futures: dict[Future[R], Job[A, R]] = {pool.submit(job.job, job.arguments): job for job in jobs}
        try:
            for future in as_completed(futures):
                done(futures[future], future.result())
                progress.update()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def visible_devices() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get(_VISIBLE_DEVICES)
    return tuple(map(str, range(count))) if named is None else tuple(named.split(",")[:count])


def start_worker() -> None:
    """Settings of a process that runs jobs."""
    end_with_parent()
    tune_allocator()
    set_threads(1)


def _start_in_slot(slots: Queue[int], devices: Sequence[str]) -> None:
    """Settings of the process of the next free slot, which sees one of the devices."""
    if devices:
        # Read when CUDA is first used, which nothing has done here yet.
        os.environ[_VISIBLE_DEVICES] = devices[slots.get() % len(devices)]
    start_worker()


def _path(folder: Path, cell: Job[Any, Any]) -> Path:
    return folder / CELLS_FOLDER / f"{cell.name}.json"
