"""A command in a process of its own that is killed, started again, and has to end as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from kill.trainings import Training

PATIENCE = 600.0
"""Seconds that one process may take, on a busy machine."""


@dataclass
class Outcome:
    """What came of the kills of one training."""

    kills: int = 0
    runs: int = 0
    """Runs that were killed, resumed and compared."""
    differences: tuple[str, ...] = ()
    """Files that are not as in the run that nobody killed, and errors of processes that were started again."""


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """A command of `latentfields` on one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "latentfields", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[bytes]) -> str | None:
    """Wait for a process; return what it said if it failed."""
    _, errors = process.communicate(timeout=PATIENCE)
    return None if process.returncode == 0 else f"exit status {process.returncode}: {errors.decode()[-2000:]}"


def kill_at(process: subprocess.Popen[bytes], moment: float) -> bool:
    """Kill a process after so many seconds. Returns False when it had ended by then."""
    try:
        process.wait(timeout=moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return True
    process.communicate()
    return False


def kill(training: Training, folder: Path, *, count: int, seed: int) -> Outcome:
    """Kill a training `count` times in an empty folder, at random moments between its first file and its end.

    A run is killed and started again until it ends, or until all kills are done. Its results are then compared with
    those of a run that nobody killed.
    """
    training.prepare(folder)
    expected, begins, ends = _uninterrupted(training, folder)
    random, outcome = Random(f"{seed} {training.name}"), Outcome()
    while outcome.kills < count and not outcome.differences:
        out = folder / f"run-{outcome.runs}"
        arguments, alive = training.arguments(folder, out), True
        while alive and outcome.kills < count:
            process = start(arguments)
            alive = kill_at(process, random.uniform(begins, ends))
            outcome.kills += alive
            if not alive and process.returncode:
                outcome.differences = (f"{out.name}: exit status {process.returncode} after a kill",)
                return outcome
        problem = finish(start(arguments))
        outcome.runs += 1
        found = {} if problem else training.results(out)
        differing = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        outcome.differences = (
            (problem,) if problem else tuple(f"{out.name}: {name} differs" for name in differing)
        )
    return outcome


def _uninterrupted(training: Training, folder: Path) -> tuple[dict[str, bytes], float, float]:
    """The results of a run that nobody kills, the seconds until it wrote its first file, and those until its end."""
    out = folder / "whole"
    process, began = start(training.arguments(folder, out)), time.monotonic()
    first = None
    while process.poll() is None:
        if first is None and out.exists() and any(out.iterdir()):
            first = time.monotonic() - began
        time.sleep(0.01)
    problem, ended = finish(process), time.monotonic() - began
    if problem:
        raise RuntimeError(f"{training.name} fails without being killed: {problem}")
    assert first is not None
    return training.results(out), first, ended
