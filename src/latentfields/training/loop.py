"""The loop every trainer shares: steps, log, progress bar, checkpoints, resume.

A trainer implements `Trainable`; `train` calls `step(0)`, `step(1)`, ... and may be killed at any moment. Run again,
it continues from the last checkpoint, and what it computes is what an uninterrupted run would have computed.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol, TextIO

import torch
from torch import Tensor

from latentfields.config.checks import Checked, NonNegative, check_stored
from latentfields.config.typed_json import from_json
from latentfields.errors import InputError
from latentfields.files import naming
from latentfields.progress import progress_bar
from latentfields.training.checkpoint import load_tensors, save_tensors
from latentfields.training.tensorboard import events, require_tensorboard

Clock = Literal["wall", "cpu"]
"""What a limit of time counts: seconds that pass, or those that the process computes (all its threads together), which
a busy machine hardly changes."""


class Trainable(Protocol):
    """Something that learns step by step and can be saved between any two steps."""

    def step(self, index: int, progress: float) -> Mapping[str, float | str]:
        """Do step `index`, at `progress` in [0, 1) of the whole training; return values to log.

        Schedules depend on `progress` alone: with a time limit it follows the clock, otherwise it is index / steps.
        """
        ...

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything the next step depends on: tensors, and JSON-serialisable metadata."""
        ...

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from what `state` returned."""
        ...


@dataclass(frozen=True)
class LoopConfig:
    """Options of the loop: saving, reporting, stopping."""

    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints."""
    log_every: int = 10
    """Steps between log records."""
    seconds: float | None = None
    """Stop after this much training time, resumed time included; None trains all steps. Not reproducible bit for
    bit, since the number of steps depends on the machine."""
    clock: Clock = "wall"
    """What those seconds are."""
    tensorboard: bool = False
    """Write what is logged as TensorBoard's events, too, into the folder `tensorboard` of the training, or of each of
    its phases; needs the extra of that name."""

    def __post_init__(self) -> None:
        if self.tensorboard:
            require_tensorboard()

    def out_of_time(self, elapsed: float) -> bool:
        """True when `elapsed` seconds of training are all that is allowed."""
        return self.seconds is not None and elapsed >= self.seconds


class Interrupted(Exception):
    """The user or the system asked the process to stop; the state was saved."""

    def __init__(self, folder: Path, step: int) -> None:
        self._at = folder, step
        super().__init__(f"interrupted at step {step}; run the same command again to resume {folder}")

    def __reduce__(self) -> tuple[type, tuple[Path, int]]:
        return (type(self), self._at)


def checkpoint_path(folder: Path) -> Path:
    """The file of a run's state."""
    return folder / "state" / "checkpoint.safetensors"


def log_path(folder: Path) -> Path:
    """One JSON record per line."""
    return folder / "log.jsonl"


def read_log(folder: Path) -> list[dict[str, Any]]:
    """All log records of a run, oldest first. A last line that is still being written is left out.

    Raises InputError when it cannot be read, and naming the line that is no record.
    """
    path = log_path(folder)
    # Decoded so that nothing is an error yet, and split at line ends alone.
    try:
        text = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from None
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    return [_record(path, number, line) for number, line in enumerate(lines, 1) if line.endswith("\n")]


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    """A record of the log. Raises InputError naming the line of the file that holds none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    times = [record.get(name) for name in ("step", "seconds")] if isinstance(record, dict) else [None]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in times):
        raise InputError(path, f"line {number}: expected a JSON object with a step and its seconds")
    return {**record}


def train(trainable: Trainable, *, steps: int, folder: Path, label: str, options: LoopConfig) -> float:
    """Run `trainable` up to `steps` steps, resuming when `folder` has a checkpoint.

    Returns the training time in seconds, that of earlier, interrupted sessions included.
    Raises Interrupted after saving, when SIGINT or SIGTERM arrives; and InputError, naming the value and the step, when
    a logged value or the state is not finite, or the folder is gone. Nothing is saved then: the last checkpoint before
    stays. So it does when the disk is full; the error of the system names the file.
    """
    position = _resume(trainable, folder)
    log_path(folder).parent.mkdir(parents=True, exist_ok=True)
    with (
        progress_bar(label, total=steps, initial=position.step, unit="step") as bar,
        _opened_log(folder) as log,
        events(folder, start=position.step, wanted=options.tensorboard) as board,
        _stop_flag() as stop,
    ):
        with naming(log_path(folder)):
            # Nothing is made up where the log was lost.
            kept_bytes = min(position.log_bytes, log.seek(0, os.SEEK_END))
            log.truncate(kept_bytes)
            log.seek(kept_bytes)
        shown: dict[str, str] = {}
        session, saved, cpu_session = time.perf_counter(), time.perf_counter(), time.process_time()
        index, elapsed, kept = position.step, position.seconds, position.step
        cpu_elapsed = position.cpu_seconds
        # What the limit counts.
        counted = cpu_elapsed if options.clock == "cpu" else elapsed
        while index < steps and not options.out_of_time(counted):
            by_time = 0.0 if options.seconds is None else counted / options.seconds
            progress = min(max(index / steps, by_time), 1 - 1e-9)
            values = trainable.step(index, progress)
            index += 1
            _require_finite_values(values, _Place(folder, index, kept))
            # With a time limit the number of steps is an estimate, and the bar's end moves.
            bar.total = steps if by_time * steps <= index else max(index, round(index / progress))
            shown |= {name: _read(values[name]) for name in _on_the_bar(values)}
            elapsed = position.seconds + time.perf_counter() - session
            cpu_elapsed = position.cpu_seconds + time.process_time() - cpu_session
            counted = cpu_elapsed if options.clock == "cpu" else elapsed
            finished = index == steps or options.out_of_time(counted)
            if finished or index % options.log_every == 0:
                times = {"seconds": round(elapsed, 3), "cpu_seconds": round(cpu_elapsed, 3)}
                with naming(log_path(folder)):
                    log.write(json.dumps({"step": index, **times, **values}) + "\n")
                    board.note(index, values)
                bar.set_postfix(shown, refresh=False)
            bar.update()
            if finished or stop or time.perf_counter() - saved >= options.checkpoint_seconds:
                with naming(log_path(folder)):
                    log.flush()
                    os.fsync(log.fileno())
                    board.flush()
                _save(
                    trainable, _Place(folder, index, kept), _Position(index, elapsed, log.tell(), cpu_elapsed)
                )
                saved, kept = time.perf_counter(), index
            if stop and not finished:
                raise Interrupted(folder, index)
        return elapsed


def _on_the_bar(values: Mapping[str, float | str]) -> list[str]:
    """What the bar shows of the values of a step: words, the loss and scores, or else the first; the log has all."""
    chosen = [
        name
        for name, value in values.items()
        if isinstance(value, str) or name == "loss" or name.endswith(("_psnr", "_loss"))
    ]
    return chosen or [*values][:1]


def _read(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


@contextmanager
def _opened_log(folder: Path) -> Iterator[TextIO]:
    """The log, to be gone on with; what goes wrong when it is closed names it."""
    path = log_path(folder)
    log = open(path, "r+" if path.exists() else "w+")  # noqa: SIM115 - closed below, in another context
    try:
        yield log
    finally:
        with naming(path):
            log.close()


@dataclass(frozen=True)
class _Place:
    """The position of a training, for its error message."""

    folder: Path
    step: int
    """Steps that are done."""
    kept: int
    """Steps that were done at the last checkpoint; 0 without one."""

    def diverged(self, problem: str) -> InputError:
        kept = f"the checkpoint of step {self.kept} is kept" if self.kept else "nothing was saved before"
        return InputError(
            self.folder, f"{problem} at step {self.step}; {kept}. Lower learning rates or weights may help"
        )


def _require_finite_values(values: Mapping[str, float | str], place: _Place) -> None:
    for name, value in values.items():
        if not isinstance(value, str) and not math.isfinite(value):
            raise place.diverged(f"the training diverged: '{name}' is {value}")


@dataclass(frozen=True)
class _Position(Checked):
    step: NonNegative
    seconds: float
    log_bytes: NonNegative
    cpu_seconds: float = 0.0
    """Of all threads of the process; on a busy machine, steadier than the seconds that pass."""


def _save(trainable: Trainable, place: _Place, position: _Position) -> None:
    if not log_path(place.folder).exists():
        raise InputError(
            log_path(place.folder),
            f"is gone at step {place.step}: the folder was deleted or moved meanwhile; run the same command again",
        )
    tensors, metadata = trainable.state()
    # The last step may have spoilt weights that nothing was computed with yet.
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise place.diverged(f"the training diverged: '{name}' of its state is not finite")
    save_tensors(checkpoint_path(place.folder), tensors, {"loop": vars(position), "trainable": metadata})


def _resume(trainable: Trainable, folder: Path) -> _Position:
    if not checkpoint_path(folder).exists():
        return _Position(0, 0.0, 0)
    path = checkpoint_path(folder)
    tensors, metadata = load_tensors(path)
    try:
        position = from_json(_Position, metadata["loop"], source=path, field="loop")
        check_stored(position, path, field="loop")
        trainable.restore(tensors, metadata["trainable"])
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(
            path,
            f"is no checkpoint of this training ({type(error).__name__}: {detail}); delete it to start anew",
        ) from None
    return position


@contextmanager
def _stop_flag() -> Iterator[list[int]]:
    """A list that becomes non-empty when SIGINT or SIGTERM arrives; a second signal acts as usual."""
    received: list[int] = []
    previous: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        _restore_handlers(previous)

    try:
        for kind in (signal.SIGINT, signal.SIGTERM):
            previous[kind] = signal.signal(kind, note)
    except ValueError:  # Not in the main thread: whoever started the thread handles signals.
        previous.clear()
    try:
        yield received
    finally:
        _restore_handlers(previous)


def _restore_handlers(handlers: Mapping[int, Any]) -> None:
    for kind, handler in handlers.items():
        signal.signal(kind, handler)
