"""Jobs that other processes can import."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from latentfields.errors import InputError
from latentfields.training.loop import LoopConfig, train


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


def die_once(path: Path) -> dict[str, Any]:
    """Kills its process the first time, as the system does when memory is short; then notes who did the job."""
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"process": os.getpid()}


def fail_once(path: Path) -> dict[str, Any]:
    """Fails the first time."""
    if not path.exists():
        path.touch()
        raise ValueError("not yet")
    return {"process": os.getpid()}


def refuse(path: Path) -> dict[str, Any]:
    """Counts how often it is asked, and finds its input wrong."""
    count_up(path)
    raise InputError(path, "is no good")


class Odd(Exception):
    """Cannot be made again from what it says."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def raise_odd(word: str) -> dict[str, Any]:
    raise Odd(word, "thing")


def say(word: str) -> dict[str, Any]:
    """Prints, by Python and below it."""
    print(word, flush=True)
    os.write(2, f"{word} again\n".encode())
    return {"process": os.getpid()}


def environment(name: str) -> str | None:
    return os.environ.get(name)


class Forever:
    """A training without an end, which notes in a file what it has saved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def step(self, index: int, progress: float) -> dict[str, float]:
        (self.folder / "begun").touch()
        time.sleep(0.01)
        return {}

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        return {"state": torch.zeros(1)}, {}

    def restore(self, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any]) -> None:
        """Nothing depends on it."""


def train_forever(folder: Path) -> dict[str, Any]:
    train(Forever(folder), steps=10**6, folder=folder, label="", options=LoopConfig(checkpoint_seconds=1e6))
    return {}


def stop_others(path: Path) -> dict[str, Any]:
    """Waits until another job has begun, and finds its input wrong."""
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    raise InputError(path, "is enough")


def where(variable: str) -> dict[str, Any]:
    """What a process has around it."""
    value = os.environ.get(variable)
    return {"folder": os.getcwd(), "threads": torch.get_num_threads(), "value": value}


def wait_to_go(path: Path) -> dict[str, Any]:
    """Counts how often it was begun, and waits for a file."""
    counted = count_up(path)
    end = time.monotonic() + 60
    while not (path.parent / "go").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    # A node that dies has some time to take the job along.
    time.sleep(2.0)
    return counted
