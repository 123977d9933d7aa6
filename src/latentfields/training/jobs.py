"""Independent jobs, each by whichever worker is free; and cells: jobs whose results are kept.

The one way in which this package does several things at the same time; `workers` has who does them.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from latentfields.errors import InputError
from latentfields.files import read_json, write_json
from latentfields.progress import progress_bar
from latentfields.training.workers import Call, Engine, Inline, LocalWorkers

if TYPE_CHECKING:
    from tqdm import tqdm

CELLS_FOLDER = "cells"

RETRIES = 1
"""How often a job that failed is tried again, by default."""

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
    log: Path | None = None
    """File that another process adds to what it prints meanwhile; None: it prints where this one does."""


class Cell(Job[Any, dict[str, Any]]):
    """A job whose result is JSON, done once and kept as a file."""


@dataclass(frozen=True)
class Failure:
    """A job that failed for good."""

    name: str
    error: Exception
    """Of the last attempt."""
    attempts: int


def run_jobs(
    jobs: Sequence[Job[A, R]],
    *,
    engine: Engine,
    label: str | None,
    done: Callable[[Job[A, R], R], None] = lambda job, result: None,
    failed: Callable[[Failure], None] = lambda failure: None,
    finished: int = 0,
    retries: int = RETRIES,
) -> list[Failure]:
    """Run all jobs and call `done` here with each and its result, as they end; return those that failed.

    A job that fails, or whose process is killed, is tried again after the others, so many times; bad input
    (InputError) is not, as it stays what it is. What `failed` is called with has failed for good, while others go on,
    unless it raises something: whatever is raised here asks running jobs to save their state and to stop. The bar, with
    `label`, also counts `finished` jobs of before; without one there is none, where jobs show their own. Raises
    KeyboardInterrupt when this process is interrupted.
    """
    failures: list[Failure] = []
    if not jobs:
        return failures
    waiting, attempts = deque(range(len(jobs))), Counter[int]()
    logger = logging.getLogger(__name__)
    total = finished + len(jobs)
    with _bar(label, total=total, finished=finished) as bar, engine.opened() as workers:
        try:
            running = 0
            while waiting or running:
                while waiting and workers.has_room():
                    number = waiting.popleft()
                    attempts[number] += 1
                    running += 1
                    job = jobs[number]
                    workers.start(number, Call(job.job, job.arguments, job.log))
                for ended in workers.wait():
                    running -= 1
                    job, attempt = jobs[ended.number], attempts[ended.number]
                    if ended.error is None:
                        done(job, ended.result)
                    elif attempt <= retries and not isinstance(ended.error, InputError):
                        logger.warning("%s failed and is tried again: %s", job.name, in_words(ended.error))
                        waiting.append(ended.number)
                        continue
                    else:
                        failures.append(Failure(job.name, ended.error, attempt))
                        logger.warning("%s failed: %s", job.name, in_words(ended.error))
                        bar.set_postfix_str(f"{len(failures)} failed", refresh=False)
                        failed(failures[-1])
                    bar.update()
        except KeyboardInterrupt:
            raise KeyboardInterrupt("interrupted; run the same command again to go on") from None
    return failures


def _bar(label: str | None, *, total: int, finished: int) -> tqdm[Any]:
    """The bar of all jobs; without a label one that is never shown."""
    if label is None:
        return progress_bar("", total=total, unit="job", initial=finished, delay=math.inf)
    return progress_bar(label, total=total, initial=finished, unit="job")


def in_words(error: Exception) -> str:
    """What an exception says, in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) or not text else f"{type(error).__name__}: {text}"


def local_engine(processes: int, device: str) -> Engine:
    """What does so many jobs at the same time on this machine; a single one is done in this process.

    `device` is what the jobs are told to compute on.
    """
    return Inline() if processes == 1 else LocalWorkers(processes, device=device)


def run_cells(
    cells: Sequence[Cell], folder: Path, *, engine: Engine, label: str
) -> dict[str, dict[str, Any]]:
    """Results by cell name, in the order of `cells`; finished ones are read from `folder`, not computed again.

    Cells run as `run_jobs` says; their results are written here, wherever they were computed. The error of the first
    that failed is raised once the others were tried; what was finished is kept. Run again to go on.
    """
    missing = [cell for cell in cells if not _path(folder, cell).exists()]
    failures = run_jobs(
        missing,
        engine=engine,
        label=label,
        done=lambda cell, result: write_json(_path(folder, cell), result),
        finished=len(cells) - len(missing),
    )
    raise_first(failures)
    return {cell.name: _finished(_path(folder, cell)) for cell in cells}


def raise_first(failures: Sequence[Failure]) -> None:
    """Raise the error of the first job that failed, if one did."""
    for failure in failures:
        raise failure.error


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


def _path(folder: Path, cell: Job[Any, Any]) -> Path:
    return folder / CELLS_FOLDER / f"{cell.name}.json"
