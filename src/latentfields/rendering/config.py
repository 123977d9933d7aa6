"""Configurations of rendering: one per sampler of rays, and one for splatting.

Free of heavy imports, for the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, TypeVar

from latentfields.config.checks import Checked, NonNegative, Range, joined
from latentfields.errors import ArgumentError

SHARE_AFTER_WARMUP = 0.25
"""Share of the density grid's cells that an update looks at once it knows the field: all of them cost more than they
tell."""


BEYOND = 2
"""Sides of the cube of a field that covers all space, in those of the scene's box in its middle."""

GridConfig = TypeVar("GridConfig", bound="DensityGridConfig")


@dataclass(frozen=True)
class DensityGridConfig(Checked):
    """Density of the samples of rays through a density grid."""

    samples: int = 16
    """Intervals per ray."""
    bins: int = 48
    """Bins of the coarse pass through the density grid."""
    grid_resolution: int = 64
    """Cells per side of the density grid."""
    grid_every: int = 16
    """Steps between updates of the density grid."""
    grid_warmup: NonNegative = 128
    """Steps during which every cell is updated, instead of a quarter of them (`SHARE_AFTER_WARMUP`)."""

    def unbounded(self: GridConfig) -> GridConfig:
        """The same density of samples where as much of the field's cube lies around the scene's box as in it."""
        return replace(self, samples=BEYOND * self.samples, bins=BEYOND * self.bins)

    def updated_share(self, step: int) -> float:
        """Share of the grid's cells that step `step`, from 0, looks at: none in most steps."""
        if step % self.grid_every:
            return 0.0
        return 1.0 if step < self.grid_warmup else SHARE_AFTER_WARMUP


@dataclass(frozen=True)
class GridSamplingConfig(DensityGridConfig):
    """A density grid that skips empty space and guides the samples; cells outside of the visual hull stay empty."""

    kind: ClassVar[str] = "grid"


@dataclass(frozen=True)
class EvenSamplingConfig(Checked):
    """Even intervals, all of which are looked at: the plain rendering that others are compared with."""

    kind: ClassVar[str] = "even"
    samples: int = 64
    """Intervals per ray."""

    def unbounded(self) -> EvenSamplingConfig:
        """As `DensityGridConfig.unbounded`."""
        return replace(self, samples=BEYOND * self.samples)


@dataclass(frozen=True)
class HierarchicalSamplingConfig(Checked):
    """A coarse pass that guides a fine one (Mildenhall et al. 2020, Sec. 5.2)."""

    kind: ClassVar[str] = "hierarchical"
    coarse_samples: int = 64
    """Even intervals of the coarse pass."""
    fine_samples: int = 128
    """Intervals that the fine pass adds to those where the coarse pass saw something."""
    coarse_network: Literal["own", "shared"] = "own"
    """Whether the coarse pass has a network of its own, fitted as well, or uses the field's densities (TensoRF)."""
    rendered: Literal["union", "added"] = "union"
    """Intervals that are rendered: those of both passes (NeRF), or those alone that the fine pass adds (Nerfstudio's
    TensoRF, which looks at densities in the others)."""

    def unbounded(self) -> HierarchicalSamplingConfig:
        """As `DensityGridConfig.unbounded`."""
        return replace(
            self, coarse_samples=BEYOND * self.coarse_samples, fine_samples=BEYOND * self.fine_samples
        )


@dataclass(frozen=True)
class ProposalSamplingConfig(Checked):
    """Proposal networks that learn where the field is dense (Barron et al. 2022), as K-Planes uses them."""

    kind: ClassVar[str] = "proposal"
    samples: int = 48
    """Intervals per ray in which the field is looked at."""
    proposal_samples: tuple[int, ...] = (256, 128)
    """Intervals per ray in which each proposal network is looked at, from first to last."""
    resolutions: Annotated[tuple[int, ...], Range(low=2)] = (128, 256)
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
    initial_range: tuple[float, float] = (0.1, 0.5)
    """Features of the proposal networks' planes start uniformly in this range."""
    anneal_steps: NonNegative = 1000
    """Steps over which proposals gain their full influence (mip-NeRF 360, Eq. 18 and the text around it)."""

    def unbounded(self) -> ProposalSamplingConfig:
        """As `DensityGridConfig.unbounded`; the networks' cells are as small as before in the scene's box."""
        return replace(
            self,
            samples=BEYOND * self.samples,
            proposal_samples=tuple(BEYOND * count for count in self.proposal_samples),
            resolutions=tuple(BEYOND * cells for cells in self.resolutions),
        )

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and unless every network has its number of samples."""
        super().check(path)
        networks = len(self.resolutions)
        if not networks or len(self.proposal_samples) != networks:
            raise ArgumentError(
                joined(path, "proposal_samples"),
                f"are {len(self.proposal_samples)} for the {networks} networks of `{joined(path, 'resolutions')}`; "
                "expected one for each of one or more networks",
            )
        if self.initial_range[0] > self.initial_range[1]:
            raise ArgumentError(
                joined(path, "initial_range"), f"is {self.initial_range}; expected low and high"
            )


@dataclass(frozen=True)
class SplattingConfig(Checked):
    """Gaussians projected and blended from front to back (Kerbl et al. 2023): no rays."""

    kind: ClassVar[str] = "splatting"
    blur: float = 0.3
    """Variance in square pixels of the feature map that is added to every projected Gaussian (3DGS: 0.3)."""
    antialiased: bool = False
    """Lower the opacities of Gaussians that the blur makes larger (Yu et al. 2024, the 2D Mip filter)."""
    smoothing: float = 0.0
    """Variance of the filter that keeps Gaussians from being finer than any training view shows (Yu et al. 2024, the 3D
    smoothing filter), in squares of the distance between the finest view's samples; 0 is no filter."""


@dataclass(frozen=True)
class MipSplattingConfig(SplattingConfig):
    """Splatting with both filters of Mip-Splatting (Yu et al. 2024), whose variances add up to the blur without them: a
    scene then looks alike at every resolution."""

    kind: ClassVar[str] = "mip-splatting"
    blur: float = 0.1
    """Variance of the 2D Mip filter in square pixels."""
    antialiased: bool = True
    """Lower the opacities of Gaussians that the blur makes larger, which makes it the 2D Mip filter."""
    smoothing: float = 0.2
    """Variance of the 3D smoothing filter in squares of the distance between the finest view's samples."""


RaySampling = GridSamplingConfig | EvenSamplingConfig | HierarchicalSamplingConfig | ProposalSamplingConfig
SamplingConfig = RaySampling | SplattingConfig | MipSplattingConfig
SamplerName = Literal["grid", "even", "hierarchical", "proposal", "splatting", "mip-splatting"]

SAMPLINGS: Mapping[SamplerName, type[SamplingConfig]] = MappingProxyType(
    {
        "grid": GridSamplingConfig,
        "even": EvenSamplingConfig,
        "hierarchical": HierarchicalSamplingConfig,
        "proposal": ProposalSamplingConfig,
        "splatting": SplattingConfig,
        "mip-splatting": MipSplattingConfig,
    }
)
"""Configurations by the name of what renders."""
