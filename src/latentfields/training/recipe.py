"""The frame around every training, once: its beginning, and the writing of its results.

A training is a function of typed arguments that

1. describes itself by a frozen dataclass with a `kind` (`training.runs`),
2. begins: reads its inputs and then claims its folder, which is its own while it works there (`begin`),
3. trains (`training.loop.train`),
4. finishes: writes `metrics.json` and the autoencoder that it trained (`finish`; a fit writes a model of its own).

Called again with the same arguments, it goes on where it was interrupted. Steps and losses are each training's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from latentfields.files import write_json
from latentfields.training.runs import require_run, running

METRICS_FILE = "metrics.json"
"""In a run's folder: `training_seconds`, `device`, and what was measured."""
AUTOENCODER_FOLDER = "autoencoder"
"""In a run's folder: the autoencoder that was trained."""

T = TypeVar("T")


class Trained(Protocol):
    """An autoencoder, as far as it is saved."""

    name: str
    """What it goes by."""

    def save(self, folder: Path) -> None:
        """Write it to `folder`."""
        ...


Result = TypeVar("Result", bound=Trained)


@contextmanager
def begin(config: Any, out: Path, read: Callable[[], T]) -> Iterator[T]:
    """Read the inputs of the run that `config` describes, then claim `out` for it: bad input leaves nothing behind.

    For the time of a `with` block, no other process works in `out`. Raises InputError as `read`, when `out` holds a
    run with other settings, and when another process works there.
    """
    inputs = read()
    with running(out, config):
        yield inputs


def write_metrics(out: Path, measured: Mapping[str, Any], *, seconds: float, device: torch.device) -> None:
    """Write the metrics of a run: what was `measured`, and in how many seconds of training on which device.

    Raises InputError when the run's folder was deleted meanwhile.
    """
    require_run(out)
    write_json(out / METRICS_FILE, {"training_seconds": seconds, "device": str(device), **measured})


def finish(
    out: Path, result: Result, measured: Mapping[str, Any], *, seconds: float, device: torch.device
) -> Result:
    """Write metrics and the autoencoder of a run, and return the latter, which goes by its folder from then on."""
    write_metrics(out, measured, seconds=seconds, device=device)
    result.save(out / AUTOENCODER_FOLDER)
    result.name = str(out / AUTOENCODER_FOLDER)
    return result
