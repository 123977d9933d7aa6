"""How 3D Gaussians are added and removed while they are fitted. Free of heavy imports, for the command line.

Moments are shares of the stage that fits the field to its targets, so that short and timed fits densify as well.
Lengths are those of the normalised frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal


@dataclass(frozen=True)
class GradientDensificationConfig:
    """Clone and split where gradients on the screen are large, prune what is transparent (Kerbl et al. 2023)."""

    kind: ClassVar[str] = "gradient"
    refinements: int = 12
    """Times that Gaussians are added and removed, evenly spread from `start` to `end`."""
    start: float = 0.08
    """Moment of the first refinement."""
    end: float = 0.6
    """Moment of the last refinement."""
    opacity_resets: int = 0
    """Times that all opacities are lowered to 0.01, evenly spread between `start` and `end`."""
    threshold: float = 6e-4
    """Gaussians are added where the loss, as a share of the features' range, changes by more than this as one moves by
    half the picture's size. 3DGS has 2e-4; on coarse latents that adds Gaussians that take time and win nothing."""
    clone_scale: float = 0.03
    """Gaussians of at most this scale are cloned, larger ones are split into two."""
    largest_scale: float = 0.5
    """Larger Gaussians are removed after the first reset of the opacities."""
    lowest_opacity: float = 0.005
    """More transparent Gaussians are removed."""
    most: int = 20_000
    """Gaussians at most; of the sparse points, too, no more are taken."""


@dataclass(frozen=True)
class McmcDensificationConfig:
    """Move transparent Gaussians onto opaque ones and add some, explore by noise (Kheradmand et al. 2024)."""

    kind: ClassVar[str] = "mcmc"
    refinements: int = 30
    """Times that Gaussians are moved and added, evenly spread from `start` to `end`."""
    start: float = 0.05
    """Moment of the first refinement."""
    end: float = 0.8
    """Moment of the last refinement."""
    growth: float = 0.05
    """Gaussians that a refinement adds, as a share of those there are."""
    lowest_opacity: float = 0.005
    """More transparent Gaussians are moved."""
    noise: float = 1e3
    """Noise on the means of transparent Gaussians, in multiples of their learning rate and their covariance."""
    opacity_weight: float = 0.01
    """Weight of the mean opacity in the loss."""
    scale_weight: float = 0.01
    """Weight of the mean scale in the loss."""
    most: int = 20_000
    """Gaussians at most; of the sparse points, too, no more are taken."""


DensificationConfig = GradientDensificationConfig | McmcDensificationConfig
DensificationName = Literal["gradient", "mcmc"]
