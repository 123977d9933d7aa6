"""Configurations of the fields. Free of heavy imports, so that the command line can show its help at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from latentfields.fields.gaussians.config import DensificationConfig, GradientDensification

if TYPE_CHECKING:
    from latentfields.fields.field import Field, Head


@dataclass(frozen=True)
class OptimizerConfig:
    """A field's optimiser, and the course of its learning rates over a stage."""

    kind: Literal["adam", "radam"] = "adam"
    """Algorithm (Kingma and Ba 2015; Liu et al. 2020)."""
    beta2: float = 0.99
    """Decay of the second moments; that of the first is 0.9."""
    eps: float = 1e-15
    """Added to the root of the second moments."""
    schedule: Literal["constant", "exponential", "cosine"] = "exponential"
    """Course of the learning rates after the warm-up, from their peak to the final fraction of it."""
    final_learning_rate: float = 0.1
    """Fraction of the peak at the end of the schedule."""
    schedule_steps: int | None = None
    """Steps from the start of a stage to the end of the schedule; by default the stage's steps."""
    warmup_steps: int = 0
    """Steps at the start of a stage over which the learning rates rise from zero."""


@dataclass(frozen=True)
class _RadianceConfig:
    """What all fields have."""

    view_dependent: bool = False
    """Let the output depend on the viewing direction."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser and schedule."""


@dataclass(frozen=True)
class TriPlaneConfig(_RadianceConfig):
    """Size and optimisation of a Tri-Plane. It sees directions through polynomials of degrees 1 and 2."""

    kind: ClassVar[str] = "triplane"
    resolution: int = 64
    """Cells per side of each plane."""
    features: int = 32
    """Features per cell."""
    hidden: int = 32
    """Hidden units of the MLP's layers."""
    planes_learning_rate: float = 6e-2
    """Adam learning rate of the planes."""
    mlp_learning_rate: float = 5e-3
    """Adam learning rate of the MLP."""
    tv_weight: float = 1e-3
    """Weight of the planes' total variation, (p, q) = (2, 2)."""


@dataclass(frozen=True)
class KPlanesConfig(_RadianceConfig):
    """Size and optimisation of K-Planes, static and hybrid. They see directions through spherical harmonics."""

    kind: ClassVar[str] = "kplanes"
    resolution: int = 32
    """Cells per side of the coarsest planes."""
    scales: tuple[int, ...] = (1, 2)
    """Multiples of that resolution, one set of three planes each; their features are concatenated."""
    features: int = 16
    """Features per cell."""
    hidden: int = 64
    """Hidden units of the MLPs' layers."""
    geometry_features: int = 15
    """Features that the density MLP hands to the colour MLP."""
    planes_learning_rate: float = 0.15
    """Learning rate of the planes: high, as products of three small numbers move slowly."""
    mlp_learning_rate: float = 5e-3
    """Learning rate of the MLPs."""
    tv_weight: float = 2e-2
    """Weight of the planes' total variation, (p, q) = (2, 2), meaned over the scales. Few rays see a latent scene:
    with a hundredth of it, test views are 0.8 to 1.2 dB worse; colours are 0.4 dB better."""


@dataclass(frozen=True)
class TensorfConfig(_RadianceConfig):
    """Size and optimisation of a TensoRF in vector-matrix form."""

    kind: ClassVar[str] = "tensorf"
    initial_resolution: int = 32
    """Cells of the factors along each axis at the start."""
    final_resolution: int = 64
    """Cells along each axis after the last upsampling; the steps between are log-spaced."""
    upsample_at: tuple[float, ...] = (0.2, 0.4)
    """Moments of upsampling, ascending, as fractions of the stage that fits the field to its targets."""
    density_components: int = 8
    """Components of the density per mode."""
    appearance_components: int = 24
    """Components of the appearance per mode."""
    appearance_features: int = 27
    """Features that the basis matrix makes of all appearance components."""
    hidden: int = 64
    """Hidden units of the decoder's two layers."""
    feature_octaves: int = 0
    """Octaves of the encoding of those features."""
    direction_octaves: int = 2
    """Octaves of the encoding of the direction."""
    density_shift: float = -3.0
    """Added to the components' sum before the softplus; negative values start with a thin fog."""
    density_scale: float = 25.0
    """Density per unit length of a softplus of one."""
    factors_learning_rate: float = 4e-2
    """Learning rate of the factors."""
    network_learning_rate: float = 2e-3
    """Learning rate of the basis matrix and the decoder."""
    l1_weight: float = 0.0
    """Weight of the mean absolute values of the density's planes and lines."""
    density_tv_weight: float = 1e-3
    """Weight of the total variation of the density's planes, (p, q) = (2, 2)."""
    appearance_tv_weight: float = 1e-3
    """Weight of the total variation of the appearance's planes, (p, q) = (2, 2)."""


@dataclass(frozen=True)
class VanillaConfig(_RadianceConfig):
    """Size and optimisation of a vanilla NeRF."""

    kind: ClassVar[str] = "vanilla"
    layers: int = 4
    """Hidden layers of the trunk."""
    width: int = 64
    """Units of those layers."""
    skip_after: int = 2
    """Hidden layers after which the encoded position enters once more; 0 never."""
    position_octaves: int = 6
    """Octaves of the encoding of positions."""
    direction_octaves: int = 4
    """Octaves of the encoding of the direction."""
    branch_width: int = 32
    """Hidden units of the layer that sees the direction."""
    density_shift: float = -3.0
    """Added to the density's output before the softplus. A fit that starts in thick fog first makes all of space empty,
    because one bias does that, and takes long to come back."""
    hull_density_shift: float = 3.0
    """Added to it at the start where the training images' alpha says what is empty and the sampler skips that: inside
    of the visual hull, thick fog becomes a surface sooner than thin fog does."""
    density_scale: float = 10.0
    """Density per unit length of a softplus of one. Opaque surfaces need tens, far for small steps of the weights."""
    learning_rate: float = 5e-3
    """Learning rate of all weights."""


@dataclass(frozen=True)
class InstantNgpConfig(_RadianceConfig):
    """Size and optimisation of an Instant-NGP. It sees directions through spherical harmonics."""

    kind: ClassVar[str] = "instant-ngp"
    levels: int = 8
    """Grids of the hash encoding."""
    log2_table_size: int = 15
    """Binary logarithm of the most rows that a level has."""
    features: int = 2
    """Features per row."""
    coarsest: int = 16
    """Cells per side of the coarsest level."""
    finest: int = 64
    """Cells per side of the finest level; those between are in geometric progression. Finer ones do not help colours
    at 128x128 pixels, and overfit the few rays that see a latent scene."""
    hidden: int = 64
    """Hidden units of the MLPs' layers."""
    geometry_features: int = 16
    """Outputs of the first MLP, which the second gets; the first of them is the density's logarithm."""
    table_learning_rate: float = 0.15
    """Learning rate of the table; the authors', for longer fits of larger batches, is 1e-2."""
    mlp_learning_rate: float = 1e-2
    """Learning rate of the MLPs, the authors'."""
    weight_decay: float = 1e-6
    """L2 regularisation of the MLPs' weights."""


@dataclass(frozen=True)
class GaussiansConfig:
    """Number, appearance, loss and optimisation of 3D Gaussians. Lengths are those of the normalised frame."""

    kind: ClassVar[str] = "gaussians"
    initial: int = 2000
    """Gaussians at the start, where the scene has no sparse points: drawn in the visual hull, or in the box."""
    initial_opacity: float = 0.1
    """Opacity of every Gaussian at the start."""
    degree: int = 0
    """Highest degree of the spherical harmonics of the viewing direction, from 0 to 3."""
    degree_every: float = 0.1
    """One more degree is fitted after every such share of the stage that fits the field to its targets."""
    means_learning_rate: float = 1.5e-2
    """Learning rate of the means."""
    means_decay: float = 0.1
    """The rate of the means falls exponentially to this fraction, beside the schedule that all rates follow."""
    scales_learning_rate: float = 5e-2
    """Learning rate of the logarithms of the scales."""
    rotations_learning_rate: float = 2e-2
    """Learning rate of the quaternions."""
    opacities_learning_rate: float = 0.3
    """Learning rate of the logits of the opacities."""
    features_learning_rate: float = 0.1
    """Learning rate of the harmonics of degree 0."""
    harmonics_learning_rate: float = 5e-3
    """Learning rate of the harmonics of higher degrees."""
    structure_weight: float = 0.2
    """Share of D-SSIM in the loss; that of L1 is the rest (Eq. 10 of the LRF paper)."""
    densification: DensificationConfig = field(default_factory=GradientDensification)
    """How Gaussians are added and removed."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(beta2=0.999))
    """Optimiser and schedule."""


@dataclass(frozen=True)
class OwnFieldConfig(_RadianceConfig):
    """Base of the configuration of a field that is not part of the package: `fit(..., field=MyFieldConfig())`.

    A subclass is a frozen dataclass of numbers and texts with a `kind` of its own, and says what it configures.
    """

    kind: ClassVar[str] = "own"

    def new_field(self, *, channels: int, head: Head) -> Field:
        """Return an untrained field with C = `channels`; weights are drawn from torch's global generator."""
        raise NotImplementedError


RayFieldConfig = TriPlaneConfig | KPlanesConfig | TensorfConfig | InstantNgpConfig | VanillaConfig
"""Fields that are looked at along rays."""
FieldConfig = RayFieldConfig | GaussiansConfig
RayFieldName = Literal["triplane", "kplanes", "tensorf", "instant-ngp", "vanilla"]
FieldName = Literal[RayFieldName, "gaussians"]
