"""One thread for all clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from latentfields.viewer.render_loop import RenderLoop
from latentfields.viewer.resolution import NextFrame


class FakeCanvas:
    """Wants one frame for every request, and only the newest."""

    def __init__(self, journal: list[str], name: str, *, seconds: float = 0.0) -> None:
        self.journal, self.name, self.seconds = journal, name, seconds
        self.wanted: int | None = None
        self.wait = 0.0
        self.began = threading.Event()

    def next(self, now: float) -> NextFrame | None:
        return None if self.wanted is None else NextFrame(float(self.wanted), self.wait)

    def draw(self, frame: NextFrame) -> None:
        self.began.set()
        if self.wanted == frame.height:
            self.wanted = None
        time.sleep(self.seconds)
        self.journal.append(f"{self.name}{frame.height:.0f}")


@contextmanager
def running(*, polls: bool = False) -> Iterator[RenderLoop]:
    loop = RenderLoop(polls=polls)
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_clients_take_turns() -> None:
    journal: list[str] = []
    a, b = (FakeCanvas(journal, name, seconds=0.05) for name in "ab")
    with running() as loop:
        a.wanted = 1
        loop.add(0, a)
        a.began.wait(10)
        # While a's frame is rendered, a asks again and b comes: b is served first.
        a.wanted, b.wanted = 2, 1
        loop.add(1, b)
        wait_for(lambda: len(journal) == 3)
    assert journal == ["a1", "b1", "a2"]


def test_only_the_newest_request_is_drawn() -> None:
    journal: list[str] = []
    canvas = FakeCanvas(journal, "a", seconds=0.05)
    with running() as loop:
        canvas.wanted = 0
        loop.add(0, canvas)
        canvas.began.wait(10)
        for request in range(1, 6):
            canvas.wanted = request
            loop.wake()
        wait_for(lambda: journal[-1:] == ["a5"])
    assert journal == ["a0", "a5"]


def test_a_client_that_leaves_is_forgotten_and_the_others_go_on() -> None:
    journal: list[str] = []
    a, b = (FakeCanvas(journal, name, seconds=0.05) for name in "ab")
    with running() as loop:
        a.wanted = 1
        loop.add(0, a)
        a.began.wait(10)
        a.wanted = 2
        loop.remove(0)
        loop.remove(0)
        b.wanted = 1
        loop.add(1, b)
        wait_for(lambda: "b1" in journal)
        time.sleep(0.05)
    assert journal == ["a1", "b1"]


def test_a_frame_waits_for_its_time() -> None:
    journal: list[str] = []
    canvas = FakeCanvas(journal, "a")
    canvas.wanted, canvas.wait = 1, 30.0
    with running() as loop:
        loop.add(0, canvas)
        time.sleep(0.1)
        assert not journal
        canvas.wait = 0.0
        loop.wake()
        wait_for(lambda: journal == ["a1"])


def test_scenes_in_training_are_asked_again() -> None:
    journal: list[str] = []
    canvas = FakeCanvas(journal, "a")
    with running(polls=True) as loop:
        loop.add(0, canvas)
        time.sleep(0.05)
        canvas.wanted = 1  # Without waking the loop.
        wait_for(lambda: journal == ["a1"])
