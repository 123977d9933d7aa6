"""Jobs that other processes can import."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch


def count_up(path: Path) -> dict[str, Any]:
    """Notes in a file how often it was called."""
    calls = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(calls))
    return {"calls": calls, "process": os.getpid()}


def fail(message: str) -> dict[str, Any]:
    raise ValueError(message)


def beat(path: Path) -> dict[str, Any]:
    """A long job that shows that it is alive, by appending to a file."""
    for _ in range(1200):
        with open(path, "a") as file:
            file.write(".")
        time.sleep(0.05)
    return {}


def visible_device(path: Path) -> dict[str, Any]:
    """Which GPUs and threads the process has. Waits until another such job has begun, so that there are two."""
    (path.parent / f"{path.name}.begun").touch()
    end = time.monotonic() + 60
    while len([*path.parent.glob("*.begun")]) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    return {"devices": os.environ.get("CUDA_VISIBLE_DEVICES"), "threads": torch.get_num_threads()}
