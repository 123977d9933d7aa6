"""Configurations of an IG-AE's training (IG-AE Sec. 4). Free of heavy imports, for the command line.

Units of the losses (`IgaeConfig.units`): means over elements, by default of images in [0, 1] and of latents normalised
to unit spread per channel. The paper states neither; the code released with it has images in [-1, 1] and latents
squashed by tanh(0.02 z), where a weight of 1 on the latent term is worth a few thousandths of one here, and a weight of
1 on a term about images four. Table 15's weights are for the latter, and so is `paper`; `paper-normalised` has its
numbers in this package's units, where L_latent outweighs reconstruction.

`small` and `tiny` differ from Table 15 in more than scale: L_ae decodes latents with noise, without which the encoder
hides detail in small differences; the autoencoder's preservation weighs more than L_RGB (in the paper a tenth of it),
because decoded renderings of scenes that are still blurred pull the decoder away from sharp images; and the perceptual
term, which is not LPIPS, weighs a tenth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from latentfields.autoencoders.config import Perceptual
from latentfields.config.checks import Checked, NonNegative, Precision, Range, Seed, Share, joined
from latentfields.errors import ArgumentError
from latentfields.fields.config import TriPlaneConfig
from latentfields.rendering.config import DensityGridConfig

EPOCH_DECAY = 0.988
"""What is left of the learning rates after every epoch of Table 15, which has 50 and 75 of them in its two phases."""

RELEASED_TV = 64 * 64 / (64 + 64)
"""The released code divides planes' squared differences, of 64 x 64 cells, by the sum of their sides instead of the
product in Eq. 13: so much more is a weight of its worth."""

Ablation = Literal["none", "no-3d", "no-preservation", "frozen-scenes"]
"""What is left out: nothing; L_3D; L_ae; or the update of the latent scenes in the joint phase."""

LatentUnit = Literal["reference", "object"]
"""Unit of L_latent: the spread of the starting autoencoder's latents, which gives Eq. 6 as it stands; or the variance
of the current latents over the object in each view, so that encoders cannot lower the term by losing contrast."""


Units = Literal["normalised", "released"]
"""Units of all losses: images in [0, 1] and latents of unit spread; or, as in the code released with the paper, images
in [-1, 1] and tanh(0.02 z) of raw latents z, whose total variation is that of z."""

TotalVariation = Literal["mean", "paper"]
"""Form of both total variations: means over elements, planes and scenes; or Eqs. 13 and 14 as they stand, 1/(H W) times
a sum of norms over channels, summed over planes and the scenes of a batch, and meaned over its photographs."""

WindowOffsets = Literal["latents", "pixels"]
"""Where windows of views lie in the joint phase: between whole latents; or between any pixels, so that encoders agree
with scenes between the points of the latents' grid, too."""

Equivariance = Literal["none", "scale-rotation", "shift", "all"]
"""What L_ae asks of decoders in some steps, beside reconstruction: that changed latents decode to changed images
(EQ-VAE, arXiv 2502.09509, implicit form). Changes are smaller sizes and quarter turns, as there; shifts by parts of a
latent; or either of both."""

PhotoCrops = Literal["random", "centre"]
"""Part of a photograph that is trained on: a random square, flipped half of the time; or, as in the paper (Sec. 5.1),
the central square, scaled down."""


@dataclass(frozen=True)
class LatentScenesConfig(Checked):
    """Size of the latent scenes and how they are rendered."""

    resolution: Annotated[int, Range(low=2)] = 64
    """Cells per side of each plane (K)."""
    features: int = 32
    """Features per cell (F)."""
    hidden: int = 64
    """Hidden units of the shared MLP's layers."""
    pixel_samples: Annotated[int, Range(low=1, high=8)] = 1
    """Rays per latent along one side, whose mean is what is rendered: an encoder sees a patch, and a ray a point."""
    sampling: DensityGridConfig = field(
        default_factory=lambda: DensityGridConfig(
            samples=24, bins=48, grid_resolution=32, grid_every=8, grid_warmup=32
        )
    )
    """How rays are sampled. The steps of the density grid are a scene's own: batches that it was part of."""

    @property
    def triplane(self) -> TriPlaneConfig:
        """The same sizes, as the field's configuration. Latent scenes do not depend on the view direction."""
        return TriPlaneConfig(resolution=self.resolution, features=self.features, hidden=self.hidden)


@dataclass(frozen=True)
class PretrainingConfig(Checked):
    """First phase: latent scenes are fitted to the frozen autoencoder's latents."""

    epochs: float = 50.0
    """Passes over all training views of all scenes."""
    scenes_per_batch: int = 8
    """Different scenes in a batch."""
    views_per_scene: int = 2
    """Views of each of them."""
    planes_learning_rate: float = 2e-2
    """Adam learning rate of the planes."""
    mlp_learning_rate: float = 2e-3
    """Adam learning rate of the shared MLP."""
    final_learning_rate: float = 0.1
    """Fraction of the learning rates that is left at the end, reached exponentially."""
    tv_weight: float = 1e-3
    """Weight of the planes' total variation, (p, q) = (2, 2)."""


@dataclass(frozen=True)
class IgaeWeightsConfig(Checked):
    """The lambdas of Eqs. 8, 10 and 11."""

    latent: float = 1.0
    """lambda_latent of L_latent (Eq. 6)."""
    rgb: float = 1.0
    """lambda_RGB of L_RGB (Eq. 7)."""
    tv_planes: float = 1e-4
    """lambda_TV^3D of the planes' total variation, (p, q) = (2, 2)."""
    ae_synthetic: float = 0.1
    """lambda_ae^(synth) of the reconstruction of scene views (Eq. 9)."""
    ae_real: float = 0.1
    """lambda_ae^(real) of everything about photographs (Eq. 10)."""
    perceptual: float = 0.1
    """lambda_p, inside Eq. 10."""
    tv_latents: float = 1e-4
    """lambda_TV of the latents' total variation, (p, q) = (2, 1), inside Eq. 10."""
    correspondence: float = 0.0
    """Weight of L_corres of LRF (Eq. 6 there): latents of two views agree where both show the same point. Not of the
    paper, as the next one; both ask for data sets of correspondences."""
    exchange: float = 0.0
    """Weight of the reconstruction of a view from latents that are another view's wherever both show the same point."""


@dataclass(frozen=True)
class JointConfig(Checked):
    """Second phase: autoencoder and latent scenes are trained together."""

    epochs: float = 75.0
    """Passes over all training views of all scenes."""
    scenes_per_batch: int = 12
    """Different scenes in a batch."""
    views_per_scene: int = 1
    """Views of each of them."""
    held_out_views: NonNegative = 0
    """Validation views of each of them, too: scenes are never fitted to these, encoder and decoder are trained on
    renderings of new poses by them."""
    photos_per_batch: NonNegative = 3
    """Photographs in a batch."""
    pairs_per_batch: Annotated[int, Range(low=1)] = 6
    """Pairs of views with correspondences in a batch, where there are correspondences."""
    encoder_learning_rate: float = 5e-5
    """Adam learning rate of the encoder."""
    decoder_learning_rate: float = 5e-5
    """Adam learning rate of the decoder."""
    planes_learning_rate: float = 1e-4
    """Adam learning rate of the planes."""
    mlp_learning_rate: float = 1e-4
    """Adam learning rate of the shared MLP."""
    final_learning_rate: float = EPOCH_DECAY**75
    """Fraction of the learning rates that is left at the end, reached exponentially."""
    accumulation: int = 1
    """Parts that a batch is computed in, one after the other: activations of one part at a time are in memory, and
    the step is that of the whole batch, within rounding."""
    average_decay: Share = 0.0
    """Decay of the exponential moving average of encoder and decoder over the steps, which is the result then; 0: the
    weights of the last step are."""
    largest_gradient: float | None = None
    """Norm that the gradient of the encoder, and that of the decoder, is shortened to where it is longer."""
    latent_unit: LatentUnit = "reference"
    """Unit of L_latent."""
    photo_crops: PhotoCrops = "random"
    """Part of a photograph that is trained on."""
    window: Annotated[int | None, Range(low=16)] = None
    """Side in pixels of the random squares that views and photographs are cut to; None: they are whole."""
    window_offsets: WindowOffsets = "latents"
    """Where windows of views lie; whole ones are moved by less than a latent, or not at all."""
    equivariance: Equivariance = "none"
    """What changed latents have to decode to."""
    equivariance_share: Share = 0.5
    """Share of the steps in which L_ae decodes changed latents, and not the latents as they are."""
    precision: Precision = "float32"
    """What encoder and decoder compute in: float32; bfloat16 (weights, losses, scenes and everything else stay in
    float32), nearly twice as fast where the processor has instructions for it; or the latter there alone (auto)."""
    latents: Literal["mean", "sample"] = "mean"
    """What images are encoded as: the mean of the posterior, or one draw from it, as in the code of the paper. The
    first phase has the mean."""
    latent_noise: float = 0.0
    """Strongest noise added to encoded latents before L_ae decodes them (Eqs. 9, 10): for every image a standard
    deviation from 0 to this, in units of the starting autoencoder's latents. 0 adds none, as the paper."""
    weights: IgaeWeightsConfig = field(default_factory=IgaeWeightsConfig)
    """Weights of the loss terms."""


@dataclass(frozen=True)
class IgaeConfig(Checked):
    """Everything that determines the training, beside the autoencoder it starts from and the data."""

    size: Annotated[int, Range(low=16)] = 128
    """Side of all images, in pixels: smaller ones have too few scales for L_p."""
    scenes: LatentScenesConfig = field(default_factory=LatentScenesConfig)
    """The latent scenes."""
    pretraining: PretrainingConfig = field(default_factory=PretrainingConfig)
    """First phase."""
    joint: JointConfig = field(default_factory=JointConfig)
    """Second phase."""
    perceptual: Perceptual = "gradient-similarity"
    """The perceptual term."""
    units: Units = "normalised"
    """Units of all losses, in both phases."""
    tv: TotalVariation = "mean"
    """Form of the total variations of planes and latents, in both phases."""
    ablation: Ablation = "none"
    """What is left out of the joint phase."""
    seed: Seed = 0
    """Seed of the latent scenes, of batches and of the jitter."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, for windows beyond views, and for two units of L_latent."""
        super().check(path)
        if self.joint.window is not None and self.joint.window > self.size:
            raise ArgumentError(
                joined(path, "joint.window"),
                f"is {self.joint.window}; expected at most `{joined(path, 'size')}`, which is {self.size}",
            )
        if self.units == "released" and self.joint.latent_unit != "reference":
            raise ArgumentError(
                joined(path, "joint.latent_unit"),
                f"is {self.joint.latent_unit} with `{joined(path, 'units')}` released; expected reference",
            )

    @property
    def window(self) -> int:
        """Side in pixels of what encoder and decoder see in the joint phase."""
        return self.joint.window or self.size

    @property
    def has_correspondences(self) -> bool:
        """True when latents are asked to agree between views."""
        return self.joint.weights.correspondence > 0 or self.joint.weights.exchange > 0

    @property
    def has_3d(self) -> bool:
        """True when L_3D is part of the loss."""
        return self.ablation != "no-3d"

    @property
    def has_preservation(self) -> bool:
        """True when L_ae is part of the loss."""
        return self.ablation != "no-preservation"

    @property
    def moves_scenes(self) -> bool:
        """True when the joint phase updates the latent scenes and their shared renderer."""
        return self.ablation in ("none", "no-preservation")


SMALL_WEIGHTS = IgaeWeightsConfig(latent=0.5, rgb=0.7, ae_synthetic=1.5, ae_real=3.0, perceptual=0.01)
"""Weights of `small` and `tiny`."""

TINY = IgaeConfig(
    size=64,
    scenes=LatentScenesConfig(
        resolution=24,
        features=12,
        hidden=32,
        sampling=DensityGridConfig(samples=16, bins=24, grid_resolution=16, grid_every=4, grid_warmup=16),
    ),
    pretraining=PretrainingConfig(epochs=8.0, scenes_per_batch=4, mlp_learning_rate=5e-3),
    joint=JointConfig(
        epochs=8.0,
        scenes_per_batch=4,
        photos_per_batch=2,
        encoder_learning_rate=5e-4,
        decoder_learning_rate=5e-4,
        planes_learning_rate=5e-3,
        mlp_learning_rate=1e-3,
        final_learning_rate=0.1,
        largest_gradient=0.1,
        latent_noise=0.3,
        weights=SMALL_WEIGHTS,
    ),
)
"""Minutes on one core, for a handful of scenes."""

SMALL = IgaeConfig(
    scenes=LatentScenesConfig(resolution=48, features=24),
    pretraining=PretrainingConfig(epochs=6.0),
    joint=JointConfig(
        epochs=1.5,
        scenes_per_batch=6,
        photos_per_batch=2,
        encoder_learning_rate=3e-4,
        decoder_learning_rate=3e-4,
        planes_learning_rate=5e-3,
        mlp_learning_rate=1e-3,
        final_learning_rate=0.03,
        largest_gradient=0.1,
        latent_noise=0.3,
        weights=SMALL_WEIGHTS,
    ),
)
"""Half an hour of one core, for a hundred scenes."""

PAPER_NORMALISED = IgaeConfig(
    pretraining=PretrainingConfig(
        scenes_per_batch=32,
        views_per_scene=1,
        planes_learning_rate=1e-3,
        mlp_learning_rate=1e-3,
        final_learning_rate=EPOCH_DECAY**50,
        tv_weight=1e-5,
    ),
    perceptual="lpips",
)
"""Table 15's numbers in this package's units: what earlier versions called `paper`. L_latent, which is 1600 times as
heavy there for raw latents of spread 2.5, trades reconstruction for latents of low contrast."""

PAPER = replace(
    PAPER_NORMALISED,
    pretraining=replace(PAPER_NORMALISED.pretraining, tv_weight=1e-5 * RELEASED_TV),
    joint=replace(PAPER_NORMALISED.joint, photo_crops="centre"),
    units="released",
    tv="paper",
)
"""Table 15, in the units that its weights are for. The first phase, which the table leaves out but for its epochs, is
as in the released code."""

IgaePreset = Literal["tiny", "small", "paper", "paper-normalised"]

PRESETS: Mapping[IgaePreset, IgaeConfig] = MappingProxyType(
    {"tiny": TINY, "small": SMALL, "paper": PAPER, "paper-normalised": PAPER_NORMALISED}
)
"""Configurations by name."""


@dataclass(frozen=True)
class IgaeRunConfig:
    """Everything that determines a run of `finetune_3d`."""

    kind: ClassVar[str] = "igae"
    autoencoder: str
    """Name or folder of the autoencoder to start from."""
    scenes: tuple[Path, ...]
    """Scenes, or folders of them."""
    photos: tuple[Path, ...]
    """Folders of photographs."""
    pretrained: Path | None
    """Folder of the run whose latent scenes are taken over, or None."""
    training: IgaeConfig
    """How it is trained."""
    correspondences: tuple[Path, ...] = ()
    """Data sets of correspondences."""
