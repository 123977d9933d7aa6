"""Configurations of adding and removing 3D Gaussians. Free of heavy imports, for the command line.

Moments are shares of the stage that fits the field to its targets, so that short and timed fits densify as well.
Lengths are those of the normalised frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from latentfields.config.checks import Checked, NonNegative, joined
from latentfields.errors import ArgumentError


@dataclass(frozen=True)
class GradientDensificationConfig(Checked):
    """Clone and split where gradients on the screen are large, prune what is transparent (Kerbl et al. 2023)."""

    kind: ClassVar[str] = "gradient"
    refinements: NonNegative = 12
    """Times that Gaussians are added and removed, evenly spread from `start` to `end`."""
    start: float = 0.08
    """Moment of the first refinement."""
    end: float = 0.6
    """Moment of the last refinement."""
    opacity_resets: NonNegative = 0
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
    most: int = 50_000
    """Gaussians at most; of the sparse points, too, no more are taken."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for moments that are not in their order."""
        super().check(path)
        _check_moments(self.start, self.end, path)


@dataclass(frozen=True)
class McmcDensificationConfig(Checked):
    """Move transparent Gaussians onto opaque ones and add some, explore by noise (Kheradmand et al. 2024)."""

    kind: ClassVar[str] = "mcmc"
    refinements: NonNegative = 30
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

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for moments that are not in their order."""
        super().check(path)
        _check_moments(self.start, self.end, path)


def _check_moments(start: float, end: float, path: str) -> None:
    if not start <= end <= 1:
        raise ArgumentError(
            joined(path, "end"), f"is {end}; expected `{joined(path, 'start')}`, {start}, to 1"
        )


DensificationConfig = GradientDensificationConfig | McmcDensificationConfig
DensificationName = Literal["gradient", "mcmc"]
PresetName = Literal["small", "paper"]

DENSIFICATIONS: Mapping[PresetName, Mapping[DensificationName, DensificationConfig]] = MappingProxyType(
    {
        "small": {"gradient": GradientDensificationConfig(), "mcmc": McmcDensificationConfig()},
        # Of 30 000 steps: every 100 from 500 to 15 000, or to 25 000. Lengths are shares of 4, the cameras' extent.
        "paper": {
            "gradient": GradientDensificationConfig(
                refinements=146,
                start=1 / 60,
                end=0.5,
                opacity_resets=4,
                threshold=2e-4,
                clone_scale=0.04,
                largest_scale=0.4,
                most=1_000_000,
            ),
            "mcmc": McmcDensificationConfig(
                refinements=246, start=1 / 60, end=5 / 6, noise=5e5, most=1_000_000
            ),
        },
    }
)
"""What every preset has for each kind of densification."""
