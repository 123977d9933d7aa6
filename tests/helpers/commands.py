"""The command line in a process of its own, and the flags of small fits."""

from __future__ import annotations

import subprocess
import sys


def latentfields(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "latentfields", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def small_fit(*, supervision: int, alignment: int) -> tuple[str, ...]:
    """Flags of `fit` for a small tri-plane and numbers of steps."""
    return (
        *("--supervision.steps", str(supervision), "--alignment.steps", str(alignment)),
        *("--field.resolution", "16", "--field.features", "8", "--sampling.grid-resolution", "16"),
    )
