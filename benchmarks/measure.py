"""Paired timing that a busy machine disturbs little: CPU time of the process, variants interleaved, medians of ratios.

What else the machine does slows the variants of one round alike, so their ratio is steadier than either time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """Something fast, and the plain twin that it is compared with."""

    name: str
    fast: Callable[[], None]
    twin: Callable[[], None]
    target: float | None
    """Ratio that the project wants, on one thread of a CPU; None where it has set none."""


@dataclass(frozen=True)
class Measurement:
    """What one case took, in CPU milliseconds, and how many times faster than its twin it was."""

    name: str
    fast_ms: float
    twin_ms: float
    ratio: float
    lowest: float
    highest: float
    target: float | None


def measure(case: Case, *, rounds: int) -> Measurement:
    """Medians over `rounds` rounds of both variants, after one round that compiles and warms up."""
    case.twin()
    case.fast()
    fast: list[float] = []
    twin: list[float] = []
    for turn in range(rounds):
        order = [(case.fast, fast), (case.twin, twin)]
        for run, times in order if turn % 2 else reversed(order):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
    ratios = [slow / quick for slow, quick in zip(twin, fast, strict=True)]
    return Measurement(
        name=case.name,
        fast_ms=1000 * statistics.median(fast),
        twin_ms=1000 * statistics.median(twin),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        target=case.target,
    )
