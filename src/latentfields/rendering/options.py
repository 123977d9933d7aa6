"""How rays are sampled. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SamplingOptions:
    """How densely rays are sampled."""

    samples: int = 16
    """Intervals per ray."""
    bins: int = 48
    """Bins of the coarse pass through the density grid."""
    grid_resolution: int = 64
    """Cells per side of the density grid."""
    grid_every: int = 16
    """Steps between updates of the density grid."""
    grid_warmup: int = 128
    """Steps during which every cell is updated, instead of a quarter of them."""
