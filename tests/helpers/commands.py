"""The command line in a process of its own, and the flags of small fits."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from latentfields.cli.main import main

_PROCESSES = multiprocessing.get_context("forkserver")
# A process that starts from nothing spends most of a small command on imports.
_PROCESSES.set_forkserver_preload(["latentfields.latent_nerf.fit", "latentfields.latent_nerf.report"])


def latentfields(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own that has PyTorch imported, and return what came of it."""
    command = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder) / name for name in ("stdout", "stderr")]
        process = _PROCESSES.Process(target=_run, args=(command, said, os.getcwd()))
        process.start()
        process.join(timeout=120)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, 120)
        return subprocess.CompletedProcess(command, process.exitcode, *(file.read_text() for file in said))


def _run(command: Sequence[str], said: Sequence[Path], folder: str) -> None:
    for descriptor, file in enumerate(said, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
    os.chdir(folder)
    sys.argv = ["latentfields", *command]
    main([*command])


def small_fit(*, supervision: int, alignment: int) -> tuple[str, ...]:
    """Flags of `fit` for a small tri-plane and numbers of steps."""
    return (
        *("--supervision.steps", str(supervision), "--alignment.steps", str(alignment)),
        *("--field.resolution", "16", "--field.features", "8", "--sampling.grid-resolution", "16"),
    )
