"""Curves for TensorBoard, an extra (`pip install 'latentfields[tensorboard]'`), beside a training's own log."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from latentfields.errors import InputError

FOLDER = "tensorboard"
"""In the folder of a training, or of one of its phases: the files of events."""


class Board(Protocol):
    """Takes the values of steps."""

    def note(self, step: int, values: Mapping[str, float | str]) -> None:
        """Write the values after a step."""

    def flush(self) -> None:
        """Bring what was noted to the disk."""


class _Nothing:
    def note(self, step: int, values: Mapping[str, float | str]) -> None:
        pass

    def flush(self) -> None:
        pass


class _Events:
    """Files of events, by PyTorch's writer."""

    def __init__(self, folder: Path, *, start: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._writer = SummaryWriter(folder, purge_step=start + 1)

    def note(self, step: int, values: Mapping[str, float | str]) -> None:
        for name, value in values.items():
            if not isinstance(value, str):
                self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def require_tensorboard() -> None:
    """Raise InputError when the library is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "tensorboard", "is not installed; install it with: pip install 'latentfields[tensorboard]'"
        )


@contextmanager
def events(folder: Path, *, start: int, wanted: bool) -> Iterator[Board]:
    """A writer of events into `folder`/tensorboard, or of nothing where none are `wanted`.

    `start` are the steps that are done: what an interrupted training wrote after them is purged.
    """
    if not wanted:
        yield _Nothing()
        return
    board = _Events(folder / FOLDER, start=start)
    try:
        yield board
    finally:
        board.close()
