"""Mean and spread of numbers that were measured several times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """What several measurements say."""

    mean: float
    deviation: float
    """Sample standard deviation; 0 for a single measurement."""
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Mean and spread of at least one number."""
        mean = math.fsum(values) / len(values)
        if len(values) == 1:
            return cls(mean, 0.0, 1)
        variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        return cls(mean, math.sqrt(variance), len(values))

    def __str__(self) -> str:
        """Such as "26.31 ± 0.42"."""
        return f"{self.mean:.2f} ± {self.deviation:.2f}" if self.count > 1 else f"{self.mean:.2f}"


def gains(values: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Differences of measurements that were made on the same things in the same order."""
    return [a - b for a, b in zip(values, reference, strict=True)]
