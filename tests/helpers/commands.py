"""The command line in a process of its own, and the flags of small fits."""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from pathlib import Path
from typing import Any

import pytest

from latentfields.bench import leaderboard
from latentfields.cli.main import main
from latentfields.generation import report as generation_report
from latentfields.latent_nerf import report
from latentfields.priors import draw
from latentfields.training import workers

IMPORTED = (
    *("torch._dynamo", "warp", "matplotlib.figure"),
    *("latentfields.cli.main", "latentfields.latent_nerf.fit", "latentfields.latent_nerf.report"),
    *("latentfields.fused_planes.fit", "latentfields.igae.finetune", "latentfields.priors.train"),
)
"""What commands import, most of it late: a process that starts from nothing spends most of a small command on that."""
PROCESSES = multiprocessing.get_context("forkserver")
"""Processes that have imported it."""
Program = Callable[[Sequence[str]], int | None]
"""What does a command; returns the exit status."""
PROCESSES.set_forkserver_preload([*IMPORTED])


@dataclass(frozen=True)
class Started:
    """A command that runs in a process of its own."""

    arguments: tuple[str, ...]
    process: multiprocessing.process.BaseProcess
    said: tuple[Path, Path]
    """Files of its standard output and errors."""

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.process.exitcode is None

    def stop(self, signal: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal)

    def finished(self, *, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Wait for its end, and return what came of it. Raises TimeoutExpired, and kills it, when it takes too long."""
        self.process.join(timeout)
        if self.process.exitcode is None:
            self.process.kill()
            raise subprocess.TimeoutExpired(self.arguments, timeout)
        said = (file.read_text() for file in self.said)
        return subprocess.CompletedProcess(self.arguments, self.process.exitcode, *said)


def started(folder: Path, *arguments: object, program: Program = main) -> Started:
    """Start a command in a process that has PyTorch imported; what it says is kept in a folder."""
    command = tuple(map(str, arguments))
    said = (folder / "stdout", folder / "stderr")
    process = PROCESSES.Process(target=_run, args=(program, command, said, os.getcwd()))
    process.start()
    return Started(command, process, said)


def latentfields(*arguments: object, program: Program = main) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, and return what came of it."""
    with tempfile.TemporaryDirectory() as folder:
        return started(Path(folder), *arguments, program=program).finished()


@contextmanager
def less_to_wait_for() -> Iterator[None]:
    """Let films of runs be short, samples on pages rough, objects that leaderboards fit be seen from few sides, and
    processes be forked from what has imported everything.

    These took more time than small trainings. Workers of Ray, which make room for everything else by default, waited
    for a minute beside other tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (report, generation_report):
            patch.setattr(module, "ORBIT_FRAMES", 3)
        patch.setattr(leaderboard, "FIT_VIEWS", 8)
        patch.setattr(draw, "STEPS", 4)
        patch.setattr(workers, "_IMPORTED", IMPORTED)
        patch.setenv("RAY_worker_niceness", "0")
        yield


def _run(program: Program, command: Sequence[str], said: Sequence[Path], folder: str) -> None:
    for descriptor, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    os.chdir(folder)
    sys.argv = ["latentfields", *command]
    with less_to_wait_for(), _of_the_same_server():
        sys.exit(program([*command]))


@contextmanager
def _of_the_same_server() -> Iterator[None]:
    """Let processes that this one starts be forked from where it was forked itself.

    It knows where that is, and would start another one: to import everything again takes seconds.
    """
    server: Any = forkserver._forkserver
    with pytest.MonkeyPatch.context() as patch:
        if server._forkserver_address is not None and server._forkserver_alive_fd is not None:
            patch.setattr(server, "ensure_running", resource_tracker.ensure_running)
        yield


def small_fit(*, supervision: int, alignment: int) -> tuple[str, ...]:
    """Flags of `fit` for a small tri-plane and numbers of steps."""
    return (
        *("--supervision.steps", str(supervision), "--alignment.steps", str(alignment)),
        *("--field.resolution", "16", "--field.features", "8", "--sampling.grid-resolution", "16"),
    )
