"""Times of functions that may compute on a GPU, which goes on while Python does."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


@torch.no_grad()
def milliseconds(function: Callable[[], object]) -> float:
    """How long one call takes until its results are there. Call once before: first calls allocate and compile."""
    _finish()
    start = time.perf_counter()
    function()
    _finish()
    return 1e3 * (time.perf_counter() - start)


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
