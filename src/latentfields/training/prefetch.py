"""The next step's batch, made while the current one is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Makes the batch of the next step in a thread while the current one is used."""

    def __init__(self, make: Callable[[int], T]) -> None:
        """`make` gives the batch of a step and depends on nothing else."""
        self._make = make
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._next: tuple[int, Future[T]] | None = None

    def get(self, step: int) -> tuple[T, float]:
        """The batch of `step`, and the seconds that were spent waiting for it."""
        start = time.perf_counter()
        if self._next is None or self._next[0] != step:
            self._next = (step, self._pool.submit(self._make, step))
        batch = self._next[1].result()
        waited = time.perf_counter() - start
        self._next = (step + 1, self._pool.submit(self._make, step + 1))
        return batch, waited

    def close(self) -> None:
        """Stop the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)
