"""Choosing views of a scene."""

from __future__ import annotations

import torch
from torch import Tensor


def evenly_spread(indices: Tensor, count: int) -> Tensor:
    """At most `count` of the indices (N,), evenly spread, first and last included."""
    if len(indices) <= count:
        return indices
    return indices[torch.linspace(0, len(indices) - 1, count).round().long()]
