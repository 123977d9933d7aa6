"""Configurations of the fields. Free of heavy imports, so that the command line can show its help at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from latentfields.config.checks import ANY, Checked, NonNegative, Range, Share, joined
from latentfields.errors import ArgumentError
from latentfields.fields.densification import (
    DENSIFICATIONS,
    DensificationConfig,
    GradientDensificationConfig,
    PresetName,
)
from latentfields.rendering.config import (
    BEYOND,
    GridSamplingConfig,
    HierarchicalSamplingConfig,
    ProposalSamplingConfig,
    RaySampling,
    SamplingConfig,
    SplattingConfig,
)

if TYPE_CHECKING:
    from latentfields.fields.field import Field, Head

Resolution = Annotated[int, Range(low=2)]
"""Cells along one side."""
Signed = Annotated[float, ANY]
"""A number of either sign."""
Octaves = Annotated[int, Range(low=0, high=32)]
"""Octaves of an encoding by sines; more are finer than single precision."""


@dataclass(frozen=True)
class OptimizerConfig(Checked):
    """A field's optimiser, and the course of its learning rates over a stage."""

    kind: Literal["adam", "radam", "muon"] = "adam"
    """Algorithm (Kingma and Ba 2015; Liu et al. 2020; Jordan et al. 2024). Muon is for matrices between layers, which
    it moves at 8 times the rate of what is left to Adam."""
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
    warmup_steps: NonNegative = 0
    """Steps at the start of a stage over which the learning rates rise from zero."""


UNBOUNDED_SHARE = 4
"""Steps of a scene without bounds see so many times fewer rays than those of an object."""
FEW_RAYS = 256
"""Rays of a step that a vanilla NeRF of a scene without bounds makes do with: many small steps get it farther."""


@dataclass(frozen=True)
class _RadianceConfig(Checked):
    """Settings that all radiance fields have."""

    view_dependent: bool = False
    """Let the output depend on the viewing direction."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser and schedule."""

    def unbounded_batch(self, count: int) -> int:
        """The number of rays or images of a step of a scene without bounds, of `count` for an object: a quarter."""
        return max(1, count // UNBOUNDED_SHARE)

    def unbounded_sampling(self, sampling: RaySampling) -> RaySampling:
        """How rays of a scene without bounds are sampled, of which those of an object are sampled as `sampling`."""
        return sampling.unbounded()


@dataclass(frozen=True)
class TriPlaneConfig(_RadianceConfig):
    """Size and optimisation of a Tri-Plane. It sees directions through polynomials of degrees 1 and 2."""

    kind: ClassVar[str] = "triplane"
    resolution: Resolution = 64
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

    def unbounded(self) -> TriPlaneConfig:
        """The field that covers all space, with cells as small as before in the scene's box."""
        return replace(self, resolution=BEYOND * self.resolution)


@dataclass(frozen=True)
class KPlanesConfig(_RadianceConfig):
    """Size and optimisation of K-Planes, static and hybrid. They see directions through spherical harmonics."""

    kind: ClassVar[str] = "kplanes"
    resolution: Resolution = 32
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

    def unbounded(self) -> KPlanesConfig:
        """As `TriPlaneConfig.unbounded`."""
        return replace(self, resolution=BEYOND * self.resolution)


UNBOUNDED_HASTE = 2.5
"""Times a TensoRF's rates in scenes without bounds: 0.9 dB after 40 s of one core (docs/results/captures.md)."""


@dataclass(frozen=True)
class TensorfConfig(_RadianceConfig):
    """Size and optimisation of a TensoRF in vector-matrix form."""

    kind: ClassVar[str] = "tensorf"
    initial_resolution: Resolution = 32
    """Cells of the factors along each axis at the start."""
    final_resolution: Resolution = 64
    """Cells along each axis after the last upsampling; the steps between are log-spaced."""
    upsample_at: Annotated[tuple[float, ...], Range(low=0, high=1)] = (0.2, 0.4)
    """Moments of upsampling, ascending, as fractions of the stage that fits the field to its targets."""
    density_components: int = 8
    """Components of the density per mode."""
    appearance_components: int = 24
    """Components of the appearance per mode."""
    appearance_features: int = 27
    """Features that the basis matrix makes of all appearance components."""
    hidden: int = 64
    """Hidden units of the decoder's two layers."""
    feature_octaves: Octaves = 0
    """Octaves of the encoding of those features."""
    direction_octaves: Octaves = 2
    """Octaves of the encoding of the direction."""
    density_shift: Signed = -3.0
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

    def unbounded(self) -> TensorfConfig:
        """As `TriPlaneConfig.unbounded`, with learning rates that are `UNBOUNDED_HASTE` times as high."""
        return replace(
            self,
            initial_resolution=BEYOND * self.initial_resolution,
            final_resolution=BEYOND * self.final_resolution,
            factors_learning_rate=UNBOUNDED_HASTE * self.factors_learning_rate,
            network_learning_rate=UNBOUNDED_HASTE * self.network_learning_rate,
        )

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for moments that do not ascend."""
        super().check(path)
        if list(self.upsample_at) != sorted(self.upsample_at):
            raise ArgumentError(
                joined(path, "upsample_at"), f"are {list(self.upsample_at)}; expected them ascending"
            )


@dataclass(frozen=True)
class VanillaConfig(_RadianceConfig):
    """Size and optimisation of a vanilla NeRF."""

    kind: ClassVar[str] = "vanilla"
    layers: Annotated[int, Range(low=1, high=1000)] = 4
    """Hidden layers of the trunk."""
    width: int = 64
    """Units of those layers."""
    skip_after: NonNegative = 2
    """Hidden layers after which the encoded position enters once more; 0 never."""
    position_octaves: Octaves = 6
    """Octaves of the encoding of positions."""
    direction_octaves: Octaves = 4
    """Octaves of the encoding of the direction."""
    branch_width: int = 32
    """Hidden units of the layer that sees the direction."""
    density_shift: Signed = -3.0
    """Added to the density's output before the softplus. A fit that starts in thick fog first makes all of space empty,
    because one bias does that, and takes long to come back."""
    hull_density_shift: Signed = 3.0
    """Added to it at the start where the training images' alpha says what is empty and the sampler skips that: inside
    of the visual hull, thick fog becomes a surface sooner than thin fog does."""
    density_scale: float = 10.0
    """Density per unit length of a softplus of one. Opaque surfaces need tens, far for small steps of the weights."""
    learning_rate: float = 5e-3
    """Learning rate of all weights."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(kind="muon"))
    """Optimiser and schedule. All that the method learns is in a few matrices, which Muon moves farther in the same
    time (docs/results/captures.md)."""

    def unbounded(self) -> VanillaConfig:
        """As `TriPlaneConfig.unbounded`: one octave more."""
        return replace(self, position_octaves=self.position_octaves + 1)

    def unbounded_batch(self, count: int) -> int:
        """A quarter as for other fields where that is few rays, less of many: down to a sixteenth."""
        return max(count // UNBOUNDED_SHARE**2, min(super().unbounded_batch(count), FEW_RAYS))

    def unbounded_sampling(self, sampling: RaySampling) -> RaySampling:
        """As for other fields. Behind a density grid rays keep their number of samples, and it is asked half as often:
        each sample goes through the whole network, and steps are what the method is short of.
        """
        twice = sampling.unbounded()
        if not isinstance(sampling, GridSamplingConfig) or not isinstance(twice, GridSamplingConfig):
            return twice
        return replace(twice, samples=sampling.samples, grid_every=2 * sampling.grid_every)


@dataclass(frozen=True)
class InstantNgpConfig(_RadianceConfig):
    """Size and optimisation of an Instant-NGP. It sees directions through spherical harmonics."""

    kind: ClassVar[str] = "instant-ngp"
    levels: Annotated[int, Range(low=1, high=64)] = 8
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

    def unbounded(self) -> InstantNgpConfig:
        """As `TriPlaneConfig.unbounded`, with a table that has rows for them."""
        return replace(
            self,
            coarsest=BEYOND * self.coarsest,
            finest=BEYOND * self.finest,
            log2_table_size=self.log2_table_size + 1,
        )

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for levels that do not get finer."""
        super().check(path)
        if self.finest < self.coarsest:
            coarsest = joined(path, "coarsest")
            raise ArgumentError(
                joined(path, "finest"), f"is {self.finest}; expected at least `{coarsest}`, {self.coarsest}"
            )


@dataclass(frozen=True)
class GaussiansConfig(Checked):
    """Number, appearance, loss and optimisation of 3D Gaussians. Lengths are those of the normalised frame."""

    kind: ClassVar[str] = "gaussians"
    initial: int = 2000
    """Gaussians at the start, where the scene has no sparse points: drawn in the visual hull, or in the box."""
    initial_opacity: Annotated[float, Range(above=0, below=1)] = 0.1
    """Opacity of every Gaussian at the start."""
    sky: NonNegative = 1000
    """Gaussians at the start on a sphere around a scene without bounds, far behind everything, as far as training views
    see them."""
    degree: Annotated[int, Range(low=0, high=3)] = 0
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
    colors_factor: Annotated[float, Range(above=0, high=100)] = 0.4
    """Multiplies all these rates where colours are fitted: those that suit few large latents throw Gaussians about that
    are as small as pixels."""
    structure_weight: Share = 0.2
    """Share of D-SSIM in the loss; that of L1 is the rest (Eq. 10 of the LRF paper)."""
    densification: DensificationConfig = field(default_factory=GradientDensificationConfig)
    """How Gaussians are added and removed."""
    low_resolution_share: Share = 0.6
    """Share of a fit of colours in which views are splatted smaller: first with a longer side of 128 pixels or a little
    more, then twice as large, and so on (Chen et al. 2025, DashGaussian, choose sizes by frequencies). 0 is the full
    size from the start; smaller views than twice that always have it."""
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(beta2=0.999))
    """Optimiser and schedule."""

    @staticmethod
    def from_earlier(values: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON form of today, of what earlier versions wrote: views had their whole size, and colours the rates of
        latents."""
        return {"low_resolution_share": 0.0, "colors_factor": 1.0, **values}

    def unbounded_batch(self, count: int) -> int:
        """As for fields along rays: of captures, one view a step gets 2 dB farther than two do in the same time."""
        return max(1, count // UNBOUNDED_SHARE)


Own = TypeVar("Own", bound="OwnFieldConfig")


@dataclass(frozen=True)
class OwnFieldConfig(_RadianceConfig):
    """Base of the configuration of a field that is not part of the package: `fit(..., field=MyFieldConfig())`.

    A subclass is a frozen dataclass of numbers and texts with a `kind` of its own, and says what it configures.
    """

    kind: ClassVar[str] = "own"

    def unbounded(self: Own) -> Own:
        """The configuration of the field where it covers all space; by default the same."""
        return self

    def new_field(self, *, channels: int, head: Head) -> Field:
        """Return an untrained field with C = `channels`; weights are drawn from torch's global generator."""
        raise NotImplementedError


RayFieldConfig = TriPlaneConfig | KPlanesConfig | TensorfConfig | InstantNgpConfig | VanillaConfig
"""Fields that are looked at along rays."""
FieldConfig = RayFieldConfig | GaussiansConfig
RayFieldName = Literal["triplane", "kplanes", "tensorf", "instant-ngp", "vanilla"]
FieldName = Literal[RayFieldName, "gaussians"]


Statistics = Literal["autoencoder", "scene", "scene-min-max"]
"""What gives latents their scale: an autoencoder's statistics, or the spread or extent of a scene's training views."""


@dataclass(frozen=True)
class Recipe:
    """A preset of a method: the field, its rendering, and its training.

    Everything else of a fit is the same for all methods (`latent_nerf/presets.py`).
    """

    field: FieldConfig
    """The field, its optimiser and its regularisers."""
    sampling: SamplingConfig = dataclasses.field(default_factory=GridSamplingConfig)
    """How it is rendered."""
    rgb_field: FieldConfig | None = None
    """The field in RGB space, where it differs there."""
    supervision_steps: int = 400
    """Steps of Latent Supervision."""
    supervision_factor: float = 1.0
    """Multiplies the field's learning rates in that stage: xi_LS."""
    alignment_steps: int = 1600
    """Steps of RGB Alignment; without any, no decoder is aligned to one scene alone."""
    alignment_factor: float = 0.5
    """Multiplies the field's learning rates in that stage: xi_align."""
    batch_images: int = 4
    """Whole latent images per step."""
    statistics: Statistics = "autoencoder"
    """What gives latents their scale: the autoencoder's statistics, or those of the scene's training views."""
    rgb_steps: int | None = None
    """Steps in RGB space, with the field's own learning rates; None takes those of both stages together."""
    rgb_batch_rays: int = 4096
    """Random pixels per step in RGB space."""


SUPERVISION_STEPS = 10_000
"""Iterations of Latent Supervision in Table 16."""
RGB_STEPS = 30_000
"""Steps of a method in RGB space, for which the schedules of Nerfstudio's methods are made."""


def _table_16(
    field: RayFieldConfig,
    sampling: RaySampling,
    *,
    xi_supervision: float,
    xi_alignment: float,
    rgb_field: RayFieldConfig | None = None,
    rgb_batch_rays: int = 4096,
) -> Recipe:
    """A method with what IG-AE's Table 16 has for all: iterations, and images per step.

    xi makes up for latents in the place of colours (App. B.2): in RGB space the method is as its authors have it.
    """
    return Recipe(
        field,
        sampling,
        rgb_field=rgb_field,
        rgb_steps=RGB_STEPS,
        rgb_batch_rays=rgb_batch_rays,
        supervision_steps=SUPERVISION_STEPS,
        supervision_factor=xi_supervision,
        alignment_steps=15_000,
        alignment_factor=xi_alignment,
        batch_images=4,
    )


_TENSORF_UPSAMPLED = (2000, 3000, 4000, 5500, 7000)
"""Steps of Nerfstudio's TensoRF after which it is upsampled."""

_TENSORF = TensorfConfig(
    initial_resolution=128,
    final_resolution=300,
    upsample_at=tuple(step / SUPERVISION_STEPS for step in _TENSORF_UPSAMPLED),
    density_components=16,
    appearance_components=48,
    hidden=128,
    view_dependent=True,
    feature_octaves=2,
    density_shift=-10.0,
    factors_learning_rate=2e-2,
    network_learning_rate=1e-3,
    # Nerfstudio's 1e-3 and 1e-4, times a factor 2 in its total variation.
    density_tv_weight=2e-3,
    appearance_tv_weight=2e-4,
    optimizer=OptimizerConfig(beta2=0.999, eps=1e-8, schedule_steps=30_000),
)

RECIPES: Mapping[FieldName, Mapping[PresetName, Recipe]] = MappingProxyType(
    {
        "triplane": {
            "small": Recipe(TriPlaneConfig()),
            # Table 16 has no Tri-Plane: its size is that of the latent scenes in the code released with IG-AE.
            "paper": _table_16(
                TriPlaneConfig(hidden=64, planes_learning_rate=2e-2),
                GridSamplingConfig(samples=96, bins=128),
                xi_supervision=1.0,
                xi_alignment=1.0,
            ),
        },
        "kplanes": {
            # Thousands of pixels a view hold planes better than hundreds of rays.
            "small": Recipe(KPlanesConfig(), rgb_field=KPlanesConfig(tv_weight=1e-3)),
            "paper": _table_16(
                KPlanesConfig(
                    resolution=128,
                    scales=(1, 2, 4),
                    features=32,
                    view_dependent=True,
                    planes_learning_rate=1e-2,
                    mlp_learning_rate=1e-2,
                    tv_weight=1e-2,
                    optimizer=OptimizerConfig(
                        beta2=0.999,
                        eps=1e-12,
                        schedule="cosine",
                        final_learning_rate=0.05,
                        schedule_steps=30_000,
                        warmup_steps=512,
                    ),
                ),
                # Nerfstudio means the excess over the intervals, and the total variation over the networks.
                ProposalSamplingConfig(interlevel_weight=1 / 48, tv_weight=5e-5, initial_range=(0.1, 0.15)),
                xi_supervision=0.1,
                xi_alignment=0.1,
            ),
        },
        "tensorf": {
            "small": Recipe(TensorfConfig()),
            "paper": _table_16(
                _TENSORF,
                HierarchicalSamplingConfig(
                    coarse_samples=200, fine_samples=50, coarse_network="shared", rendered="added"
                ),
                xi_supervision=0.01,
                xi_alignment=0.1,
                rgb_field=replace(
                    _TENSORF, upsample_at=tuple(step / RGB_STEPS for step in _TENSORF_UPSAMPLED)
                ),
            ),
        },
        "instant-ngp": {
            "small": Recipe(InstantNgpConfig()),
            "paper": _table_16(
                InstantNgpConfig(
                    levels=16,
                    log2_table_size=19,
                    finest=2048,
                    view_dependent=True,
                    table_learning_rate=1e-2,
                    optimizer=OptimizerConfig(beta2=0.999, final_learning_rate=0.01, schedule_steps=200_000),
                ),
                GridSamplingConfig(samples=64, bins=256, grid_resolution=128, grid_warmup=256),
                xi_supervision=0.001,
                xi_alignment=0.1,
            ),
        },
        "vanilla": {
            "small": Recipe(VanillaConfig()),
            "paper": _table_16(
                VanillaConfig(
                    layers=8,
                    width=256,
                    skip_after=5,
                    position_octaves=10,
                    view_dependent=True,
                    branch_width=128,
                    density_scale=1.0,
                    density_shift=0.0,
                    learning_rate=5e-4,
                    optimizer=OptimizerConfig(kind="radam", beta2=0.999, eps=1e-8, schedule="constant"),
                ),
                HierarchicalSamplingConfig(),
                xi_supervision=0.1,
                xi_alignment=1.0,
                rgb_batch_rays=1024,
            ),
        },
        "gaussians": {
            # Splatting many views costs as much as splatting one many times: more, smaller steps get farther. Fitted to
            # the statistics of all images an autoencoder has seen, Gaussians end 1.5 dB lower.
            # The blur of 3DGS takes much of what is fine in a view of 128 pixels, and most of it in latents. A tenth of
            # it gains 1 to 3 dB of objects in either, and nothing of captures of 256 pixels.
            "small": Recipe(
                GaussiansConfig(),
                SplattingConfig(blur=0.03),
                batch_images=2,
                statistics="scene",
            ),
            # As the code released with LRF trains them, with the constants of 3DGS, whose rates are for [0, 1].
            "paper": Recipe(
                GaussiansConfig(
                    initial=100_000,
                    sky=0,
                    degree=3,
                    degree_every=1 / 30,
                    means_learning_rate=6.4e-4,
                    means_decay=0.01,
                    scales_learning_rate=5e-3,
                    rotations_learning_rate=1e-3,
                    opacities_learning_rate=5e-2,
                    features_learning_rate=2.5e-3,
                    harmonics_learning_rate=1.25e-4,
                    colors_factor=1.0,
                    low_resolution_share=0.0,
                    densification=DENSIFICATIONS["paper"]["gradient"],
                    optimizer=OptimizerConfig(beta2=0.999, schedule="constant"),
                ),
                SplattingConfig(),
                supervision_steps=30_000,
                supervision_factor=1.0,
                alignment_steps=0,
                alignment_factor=1.0,
                batch_images=1,
                statistics="scene-min-max",
            ),
        },
    }
)
"""Where fits with each field start out, by its name and the preset's."""
