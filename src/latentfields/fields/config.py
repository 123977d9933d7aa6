"""Configurations of the fields. Free of heavy imports, so that the command line can show its help at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TriPlaneConfig:
    """Size and optimisation of a Tri-Plane."""

    resolution: int = 64
    """Cells per side of each plane."""
    features: int = 32
    """Features per cell."""
    hidden: int = 32
    """Hidden units of the MLP's layers."""
    view_dependent: bool = False
    """Let the output depend on the viewing direction (degree-2 polynomials of it)."""
    planes_learning_rate: float = 2e-2
    """Adam learning rate of the planes."""
    mlp_learning_rate: float = 5e-3
    """Adam learning rate of the MLP."""
    tv_weight: float = 1e-3
    """Weight of the planes' total variation, (p, q) = (2, 2)."""
