"""How fields are rendered: one configuration per sampler of rays, and one for splatting.

Free of heavy imports, for the command line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

SHARE_AFTER_WARMUP = 0.25
"""Share of the density grid's cells that an update looks at once it knows the field: all of them cost more than they
tell."""


@dataclass(frozen=True)
class SamplingOptions:
    """How densely rays are sampled through a density grid."""

    samples: int = 16
    """Intervals per ray."""
    bins: int = 48
    """Bins of the coarse pass through the density grid."""
    grid_resolution: int = 64
    """Cells per side of the density grid."""
    grid_every: int = 16
    """Steps between updates of the density grid."""
    grid_warmup: int = 128
    """Steps during which every cell is updated, instead of a quarter of them (`SHARE_AFTER_WARMUP`)."""

    def updated_share(self, step: int) -> float:
        """Share of the grid's cells that step `step`, from 0, looks at: none in most steps."""
        if step % self.grid_every:
            return 0.0
        return 1.0 if step < self.grid_warmup else SHARE_AFTER_WARMUP


@dataclass(frozen=True)
class GridSampling(SamplingOptions):
    """A density grid that skips empty space and guides the samples; cells outside of the visual hull stay empty."""

    kind: ClassVar[str] = "grid"


@dataclass(frozen=True)
class EvenSampling:
    """Even intervals, all of which are looked at: the plain rendering that others are compared with."""

    kind: ClassVar[str] = "even"
    samples: int = 64
    """Intervals per ray."""


@dataclass(frozen=True)
class HierarchicalSampling:
    """A coarse pass that guides a fine one (Mildenhall et al. 2020, Sec. 5.2)."""

    kind: ClassVar[str] = "hierarchical"
    coarse_samples: int = 64
    """Even intervals of the coarse pass."""
    fine_samples: int = 128
    """Intervals that the fine pass adds to those where the coarse pass saw something."""
    coarse_network: Literal["own", "shared"] = "own"
    """Whether the coarse pass has a network of its own, fitted as well, or uses the field's densities (TensoRF)."""


@dataclass(frozen=True)
class ProposalSampling:
    """Proposal networks that learn where the field is dense (Barron et al. 2022), as K-Planes uses them."""

    kind: ClassVar[str] = "proposal"
    samples: int = 48
    """Intervals per ray in which the field is looked at."""
    proposal_samples: tuple[int, ...] = (256, 128)
    """Intervals per ray in which each proposal network is looked at, from first to last."""
    resolutions: tuple[int, ...] = (128, 256)
    """Cells per side of each proposal network's planes."""
    features: int = 8
    """Features per cell of the proposal networks' planes."""
    hidden: int = 64
    """Hidden units of the proposal networks' MLPs."""
    learning_rate: float = 1e-2
    """Learning rate of the proposal networks."""
    tv_weight: float = 1e-4
    """Weight of the total variation of the proposal networks' planes, (p, q) = (2, 2)."""
    interlevel_weight: float = 1.0
    """Weight of the loss that makes proposals cover the field's weights (mip-NeRF 360, Eq. 13)."""
    distortion_weight: float = 0.01
    """Weight of the loss that gathers the field's weights along rays (mip-NeRF 360, Eq. 15)."""
    anneal_steps: int = 1000
    """Steps over which proposals gain their full influence (mip-NeRF 360, Eq. 18 and the text around it)."""


@dataclass(frozen=True)
class Splatting:
    """Gaussians projected and blended from front to back (Kerbl et al. 2023): no rays."""

    kind: ClassVar[str] = "splatting"
    blur: float = 0.3
    """Variance in square pixels of the feature grid that is added to every projected Gaussian."""
    antialiased: bool = False
    """Lower the opacities of Gaussians that the blur makes larger (Yu et al. 2024, the 2D Mip filter)."""


RaySampling = GridSampling | EvenSampling | HierarchicalSampling | ProposalSampling
SamplingConfig = RaySampling | Splatting
SamplerName = Literal["grid", "even", "hierarchical", "proposal", "splatting"]
