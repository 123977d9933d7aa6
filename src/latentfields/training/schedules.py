"""Learning rates: every group of an optimiser keeps its highest one as `peak`, and schedules give fractions of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def with_peaks(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The same optimiser, the learning rates that its groups were made with noted as their peaks."""
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    return optimizer


def set_learning_rates(optimizer: torch.optim.Optimizer, factor: float, *, progress: float = 0.0) -> None:
    """Multiply the peaks of all groups by `factor`, and by their own "decay" as far as `progress` in [0, 1] is."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor * group.get("decay", 1.0) ** progress


def cosine_decay(progress: float, *, final: float) -> float:
    """Fraction of the peak at `progress` in [0, 1]: half a period of a cosine, from 1 down to `final`."""
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
