"""Gates that say when a scene may be rendered: at any time, or only between two steps of its training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import Condition
from typing import Any, Protocol

from torch import Tensor

from latentfields.training.loop import Trainable


class Gate(Protocol):
    """Lets one thread at a time render."""

    @property
    def version(self) -> int:
        """Rises when the scene has changed."""
        ...

    @property
    def status(self) -> str:
        """The progress of a training in words, or nothing."""
        ...

    def rendering(self) -> AbstractContextManager[None]:
        """Wait for the scene, and keep it as it is for the time of a `with` block."""
        ...


class OpenGate:
    """Of a scene that nobody changes."""

    version = 0
    status = ""

    def __init__(self) -> None:
        self._condition = Condition()

    @contextmanager
    def rendering(self) -> Iterator[None]:
        """As `Gate.rendering`."""
        with self._condition:
            yield


class TrainingGate:
    """Of a scene in training; also the `Trainable` that does the steps and pauses between two of them for a render.

    One render per pause: however many people watch, training goes on. When nobody watches, a step costs one look at
    a flag. Renders take nothing from the training's random numbers, so that its result does not depend on them.
    """

    def __init__(self, trainable: Trainable) -> None:
        self.trainable = trainable
        self.version = 0
        self.status = ""
        self._condition = Condition()
        self._waiting = 0
        self._paused = True  # Until the first step nothing changes, and after the last.
        self._rendering = False

    def step(self, index: int, progress: float) -> Mapping[str, float | str]:
        """One step, and after it one render if one is waiting."""
        self._begin()
        values = self.trainable.step(index, progress)
        self.version += 1
        self.status = f"step {index + 1}, {100 * progress:.0f} %"
        self._pause_if_watched()
        return values

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """That of the training."""
        return self.trainable.state()

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue the training from `state`."""
        self._begin()
        self.trainable.restore(tensors, metadata)
        self.version += 1

    def finish(self) -> None:
        """The training is over: rendering is possible at any time."""
        with self._condition:
            self._paused = True
            self._condition.notify_all()

    @contextmanager
    def rendering(self) -> Iterator[None]:
        """As `Gate.rendering`; waits for the end of the current step."""
        with self._condition:
            self._waiting += 1
            self._condition.wait_for(lambda: self._paused and not self._rendering)
            self._waiting -= 1
            self._rendering = True
        try:
            yield
        finally:
            with self._condition:
                self._rendering = False
                self._condition.notify_all()

    def _begin(self) -> None:
        """Wait for the render that goes on, and let no other one begin."""
        with self._condition:
            self._paused = False
            self._condition.wait_for(lambda: not self._rendering)

    def _pause_if_watched(self) -> None:
        with self._condition:
            if self._waiting:
                self._paused = True
                self._condition.notify_all()
                # Whoever waits wakes up before the next step begins, even if this thread is the faster one.
                self._condition.wait_for(lambda: self._rendering or not self._waiting)
