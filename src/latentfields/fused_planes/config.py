"""Configurations of collections. Free of heavy imports, for the command line.

The paper trains in two stages of two phases each: the first stage learns some objects together with all that they
share (warm-up, then jointly with the autoencoder), the second one adds objects (to latents, then to images). Here they
are `fit_collection` and `add_to_collection`.

Losses are means over elements of images in [0, 1] and of latents normalised to unit spread per channel. The preset
`paper` has the paper's sizes, rates, weights, batches and epochs, in these units: L_latent weighs more than there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from latentfields.config.checks import Checked, NonNegative, Precision, Range, Seed, Share, joined
from latentfields.errors import ArgumentError
from latentfields.fields.config import TriPlaneConfig
from latentfields.rendering.config import DensityGridConfig, GridSamplingConfig

SharedParts = Literal["frozen", "trained"]
"""What becomes of the shared parts while objects are added: nothing, so that the objects of before stay as they are; or
they are trained on, as in the paper, and the objects of before change with them."""

Start = Literal["mean", "noise"]
"""What added objects begin as: the mean of those that a collection has, which is nearer to them; or noise, as in the
paper."""


@dataclass(frozen=True)
class FusedPlanesConfig(Checked):
    """Sizes of objects and of what they share, and how they are rendered."""

    resolution: Annotated[int, Range(low=2)] = 48
    """Cells per side of each plane (K)."""
    micro_features: NonNegative = 8
    """Features per cell of an object's own planes. 0 is the ultra-light variant: an object is its weights."""
    macro_features: int = 16
    """Features per cell of the base planes, which all objects share."""
    base_planes: int = 12
    """Base Tri-Planes (M)."""
    hidden: int = 64
    """Hidden units of the shared MLP's layers."""
    subpixels: int = 1
    """Rays per latent along one side: 1, the paper's, or an even number, mixed by a shared learned projection."""
    subpixel_width: int = 48
    """Hidden channels of that projection."""
    sampling: DensityGridConfig = field(
        default_factory=lambda: DensityGridConfig(
            samples=16, bins=48, grid_resolution=32, grid_every=8, grid_warmup=32
        )
    )
    """How rays are sampled. The steps of the density grid are an object's own: batches that it was part of."""

    @property
    def features(self) -> int:
        """Features per cell of an object's planes as they are rendered."""
        return self.micro_features + self.macro_features

    @property
    def triplane(self) -> TriPlaneConfig:
        """The Tri-Plane that an object is once its planes are fused."""
        return TriPlaneConfig(resolution=self.resolution, features=self.features, hidden=self.hidden)

    @property
    def grid(self) -> GridSamplingConfig:
        """The sampling of such a Tri-Plane."""
        return GridSamplingConfig(**vars(self.sampling))

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for an odd number of rays."""
        super().check(path)
        if self.subpixels != 1 and self.subpixels % 2:
            raise ArgumentError(
                joined(path, "subpixels"), f"is {self.subpixels}; expected 1 or an even number"
            )


@dataclass(frozen=True)
class PhaseConfig(Checked):
    """One phase of training. A part with the learning rate 0 does not move."""

    epochs: float
    """Passes over all training views; 0 leaves the phase out."""
    objects_per_batch: int = 2
    """Different objects in a batch."""
    views_per_object: int = 2
    """Views of each of them."""
    latent_weight: float = 1.0
    """Weight of the error of rendered against encoded latents. Moves scenes, and an encoder that moves."""
    rgb_weight: float = 0.0
    """Weight of the error of decoded renderings. Moves scenes, and a decoder that moves."""
    autoencoder_weight: float = 0.0
    """Weight of the error of autoencoded images. Moves the autoencoder alone."""
    tv_weight: float = 1e-2
    """Weight of the total variation of fused planes, (p, q) = (2, 2)."""
    micro_learning_rate: float = 6e-2
    """Adam learning rate of objects' own planes."""
    coefficients_learning_rate: float = 2e-2
    """Adam learning rate of objects' weights and biases."""
    base_learning_rate: float = 6e-2
    """Adam learning rate of the base planes."""
    mlp_learning_rate: float = 5e-3
    """Adam learning rate of the shared MLP, and of the projection."""
    mlp_share: Share = 1.0
    """Share of the phase after which the MLP stands still."""
    encoder_learning_rate: float = 0.0
    """Adam learning rate of the encoder."""
    decoder_learning_rate: float = 0.0
    """Adam learning rate of the decoder."""
    largest_gradient: float | None = None
    """Norm that the gradient of the encoder, and that of the decoder, is shortened to where it is longer."""
    final_learning_rate: Annotated[float, Range(above=0)] = 0.1
    """Fraction of all learning rates that is left at the end, reached exponentially."""
    drops: Annotated[tuple[float, ...], Range(low=0, high=1)] = ()
    """Shares of the phase at which all learning rates fall to 0.3 of what they are, beside that."""

    @property
    def moves_autoencoder(self) -> bool:
        """True where encoder or decoder are trained."""
        return self.epochs > 0 and (self.encoder_learning_rate > 0 or self.decoder_learning_rate > 0)

    def with_frozen_parts(self) -> PhaseConfig:
        """The same phase with nothing that objects share in motion."""
        return replace(
            self,
            base_learning_rate=0.0,
            mlp_learning_rate=0.0,
            encoder_learning_rate=0.0,
            decoder_learning_rate=0.0,
        )

    def decay(self, progress: float) -> float:
        """Fraction of the peak learning rates at `progress` in [0, 1] of the phase."""
        fallen = sum(progress >= share for share in self.drops)
        return float(self.final_learning_rate**progress * DROP**fallen)


DROP = 0.3
"""What is left of learning rates after each of a phase's `drops`."""


def _on_images() -> PhaseConfig:
    """A second phase: images alone, through the decoder."""
    return PhaseConfig(
        epochs=20.0,
        latent_weight=0.0,
        rgb_weight=1.0,
        micro_learning_rate=3e-2,
        base_learning_rate=3e-2,
        coefficients_learning_rate=1e-2,
        mlp_learning_rate=2.5e-3,
        decoder_learning_rate=1e-3,
    )


@dataclass(frozen=True)
class CollectionConfig(Checked):
    """Everything that determines a collection, beside its objects and the autoencoder that it starts from."""

    size: Annotated[int, Range(low=16)] = 128
    """Side of all images, in pixels."""
    planes: FusedPlanesConfig = field(default_factory=FusedPlanesConfig)
    """Sizes, and rendering."""
    warmup: PhaseConfig = field(default_factory=lambda: PhaseConfig(epochs=20.0))
    """First phase of `fit`: objects and what they share are fitted to latents."""
    joint: PhaseConfig = field(default_factory=_on_images)
    """Second phase of `fit`: the same, and the autoencoder with them."""
    latent: PhaseConfig = field(default_factory=lambda: PhaseConfig(epochs=20.0))
    """First phase of `add`: new objects are fitted to latents."""
    align: PhaseConfig = field(default_factory=_on_images)
    """Second phase of `add`: new objects are fitted to images, through the decoder."""
    shared: SharedParts = "frozen"
    """Whether `add` moves what objects share."""
    start: Start = "mean"
    """What objects begin as that `add` adds."""
    rays: int = 1024
    """Random pixels of each object in a batch, for collections of colours, which have no autoencoder."""
    precision: Precision = "auto"
    """What encoder and decoder compute in while they, or scenes through them, are trained: float32; bfloat16 (weights,
    losses and everything else stay in float32); or the latter where the processor has instructions for it (auto)."""
    seed: Seed = 0
    """Seed of objects, batches and jitter."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for phases that move nothing at all."""
        super().check(path)
        if self.warmup.epochs + self.joint.epochs <= 0:
            raise ArgumentError(
                joined(path, "warmup.epochs"),
                f"is 0, and so is `{joined(path, 'joint.epochs')}`; expected at least one phase",
            )
        if self.latent.epochs + self.align.epochs <= 0:
            raise ArgumentError(
                joined(path, "latent.epochs"),
                f"is 0, and so is `{joined(path, 'align.epochs')}`; expected at least one phase",
            )

    @property
    def moves_autoencoder(self) -> bool:
        """True where `fit` leaves an autoencoder of the collection's own."""
        return self.warmup.moves_autoencoder or self.joint.moves_autoencoder


SMALL = CollectionConfig()
"""A quarter of a minute of one core for every object with 24 training views."""

TINY = replace(
    SMALL,
    size=64,
    planes=FusedPlanesConfig(
        resolution=16,
        micro_features=4,
        macro_features=8,
        base_planes=3,
        hidden=16,
        subpixel_width=8,
        sampling=DensityGridConfig(samples=8, bins=16, grid_resolution=16, grid_every=4, grid_warmup=16),
    ),
    warmup=replace(SMALL.warmup, epochs=2.0),
    joint=replace(SMALL.joint, epochs=1.0),
    latent=replace(SMALL.latent, epochs=2.0),
    align=replace(SMALL.align, epochs=1.0),
)
"""Seconds."""

_PAPER_LATENT = PhaseConfig(
    epochs=30.0,
    objects_per_batch=32,
    views_per_object=1,
    tv_weight=0.0,
    micro_learning_rate=1e-2,
    coefficients_learning_rate=1e-2,
    base_learning_rate=1e-2,
    mlp_learning_rate=1e-2,
    final_learning_rate=0.94157**30,
)

PAPER = CollectionConfig(
    planes=FusedPlanesConfig(
        resolution=64,
        micro_features=10,
        macro_features=22,
        base_planes=50,
        hidden=64,
        subpixels=1,
        sampling=DensityGridConfig(samples=96, bins=128, grid_resolution=64, grid_every=16, grid_warmup=128),
    ),
    warmup=replace(
        _PAPER_LATENT,
        epochs=50.0,
        objects_per_batch=128,
        tv_weight=1e-4,
        mlp_share=0.9,
        final_learning_rate=1.0,
    ),
    joint=PhaseConfig(
        epochs=50.0,
        objects_per_batch=8,
        views_per_object=1,
        rgb_weight=1.0,
        autoencoder_weight=0.1,
        tv_weight=1e-4,
        micro_learning_rate=1e-4,
        coefficients_learning_rate=1e-2,
        base_learning_rate=1e-2,
        mlp_learning_rate=1e-4,
        encoder_learning_rate=1e-4,
        decoder_learning_rate=1e-4,
        final_learning_rate=1.0,
        drops=(0.4, 0.8),
    ),
    latent=_PAPER_LATENT,
    align=replace(
        _PAPER_LATENT,
        epochs=50.0,
        objects_per_batch=8,
        latent_weight=0.0,
        rgb_weight=1.0,
        micro_learning_rate=1e-3,
        mlp_learning_rate=1e-3,
        decoder_learning_rate=1e-4,
        final_learning_rate=0.94157**50,
    ),
    start="noise",
    precision="float32",
)
"""The paper's sizes and training, for GPUs and hundreds of objects; with `shared` trained, its second stage, too."""

CollectionPreset = Literal["tiny", "small", "paper"]

PRESETS: Mapping[CollectionPreset, CollectionConfig] = MappingProxyType(
    {"tiny": TINY, "small": SMALL, "paper": PAPER}
)
"""Configurations by name."""


@dataclass(frozen=True)
class CollectionRunConfig(Checked):
    """Everything that determines a run of `fit_collection`."""

    kind: ClassVar[str] = "collection"
    scenes: tuple[Path, ...]
    """Scenes, or folders of them."""
    autoencoder: str | None
    """Name or folder of the autoencoder to start from; None: objects have colours instead of latents."""
    training: CollectionConfig
    """How it is trained."""


@dataclass(frozen=True)
class AdditionRunConfig(Checked):
    """Everything that determines a run of `add_to_collection`."""

    kind: ClassVar[str] = "addition to a collection"
    scenes: tuple[Path, ...]
    """Scenes, or folders of them."""
    training: CollectionConfig
    """How they are trained; sizes are those of the collection."""
