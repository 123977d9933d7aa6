"""One thread that renders for all clients: the newest request of each, clients in turn."""

from __future__ import annotations

import time
from threading import Condition, Thread
from typing import Protocol

from latentfields.viewer.resolution import NextFrame

POLL_SECONDS = 0.25
"""How often a scene in training is asked whether it has changed, while somebody watches."""


class Canvas(Protocol):
    """The canvas of one client."""

    def next(self, now: float) -> NextFrame | None:
        """The next frame, or None when the picture is final."""
        ...

    def draw(self, frame: NextFrame) -> None:
        """Render a frame and send it, unless the client has left meanwhile."""
        ...


class RenderLoop:
    """Draws whatever is due. Without clients, and when all pictures are final, the thread sleeps."""

    def __init__(self, *, polls: bool) -> None:
        """`polls` asks canvases again every now and then, for scenes that change by themselves."""
        self._canvases: dict[int, Canvas] = {}
        self._condition = Condition()
        self._polls, self._stopped, self._last = polls, False, -1
        self._thread = Thread(target=self._run, name="viewer", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def stop(self) -> None:
        """End after the frame that is being rendered, and wait for that."""
        with self._condition:
            self._stopped = True
            self._condition.notify()
        self._thread.join()

    def add(self, client: int, canvas: Canvas) -> None:
        """A client has come."""
        with self._condition:
            self._canvases[client] = canvas
            self._condition.notify()

    def remove(self, client: int) -> None:
        """A client has left; what it asked for is forgotten."""
        with self._condition:
            self._canvases.pop(client, None)

    def wake(self) -> None:
        """Something has changed on some canvas."""
        with self._condition:
            self._condition.notify()

    def _run(self) -> None:
        while True:
            with self._condition:
                if self._stopped:
                    return
                due, wait = self._choose(time.monotonic())
                if due is None:
                    self._condition.wait(wait)
                    continue
            canvas, frame = due
            canvas.draw(frame)

    def _choose(self, now: float) -> tuple[tuple[Canvas, NextFrame] | None, float | None]:
        """The frame that is due, of the client that has waited for the longest, or how long to wait for one."""
        wait = POLL_SECONDS if self._polls and self._canvases else None
        # Whoever comes after the client that was served last comes first.
        for client in sorted(self._canvases, key=lambda client: (client <= self._last, client)):
            frame = self._canvases[client].next(now)
            if frame is None:
                continue
            if frame.wait <= 0:
                self._last = client
                return (self._canvases[client], frame), None
            wait = frame.wait if wait is None else min(wait, frame.wait)
        return None, wait
