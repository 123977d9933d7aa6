"""Network and training of latent priors. Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal

from latentfields.config.checks import Checked, NonNegative, Range, Seed, Share, joined
from latentfields.errors import ArgumentError

Parameterisation = Literal["epsilon", "v", "flow"]
"""What a denoiser says of x_t = alpha_t x + sigma_t e: the noise e; v = alpha_t e - sigma_t x of variance-preserving
schedules (Salimans and Ho 2022); or the velocity e - x of rectified flows, where alpha_t + sigma_t = 1."""

USUAL_AUTOENCODER = "igae-smooth"
"""The packaged autoencoder whose latents priors learn where none is named, and which the packaged prior knows."""


@dataclass(frozen=True)
class PriorNetworkConfig(Checked):
    """Sizes of the denoising U-Net; it is diffusers' `UNet2DModel`."""

    widths: Annotated[tuple[int, ...], Range(low=8, high=4096)] = (48, 96)
    """Channels per level, multiples of 8; every level after the first halves the resolution, the last one attends."""
    blocks: Annotated[int, Range(low=1, high=16)] = 1
    """Residual blocks per level on the way down; on the way up there is one more."""
    head_width: Annotated[int, Range(low=1, high=1024)] = 32
    """Channels of a head of attention."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for widths that cannot be normalised or attended."""
        super().check(path)
        if not self.widths or any(width % 8 for width in self.widths):
            raise ArgumentError(
                joined(path, "widths"), f"are {self.widths}; expected at least one, and multiples of 8"
            )
        if self.widths[-1] % self.head_width:
            raise ArgumentError(
                joined(path, "head_width"),
                f"is {self.head_width}; expected a divisor of the last of `{joined(path, 'widths')}`, "
                f"{self.widths[-1]}",
            )

    def check_side(self, side: int) -> None:
        """Raise ArgumentError when so many latents on a side cannot be halved as often as there are levels."""
        multiple = 2 ** (len(self.widths) - 1)
        if side % multiple or side < 2 * multiple:
            raise ArgumentError(
                "size",
                f"gives {side} latents on a side; expected a multiple of {multiple} with these widths, from two",
            )


@dataclass(frozen=True)
class PriorTrainingConfig(Checked):
    """Settings of a prior's training."""

    steps: int = 12_000
    """Optimiser steps."""
    batch: int = 16
    """Views in every step."""
    size: Annotated[int, Range(low=8, high=2048)] = 128
    """Side of the views, in pixels, before they are encoded."""
    network: PriorNetworkConfig = field(default_factory=PriorNetworkConfig)
    """Sizes of the network."""
    parameterisation: Literal["epsilon", "v"] = "v"
    """What the network predicts."""
    timesteps: Annotated[int, Range(low=2, high=10_000)] = 1000
    """Levels of noise of the schedule, the squared cosine of Nichol and Dhariwal (2021)."""
    drop_class: Share = 0.15
    """Share of the views whose class is withheld."""
    drop_camera: Share = 0.1
    """Share of the views whose camera direction is withheld."""
    drop_reference: Share = 0.35
    """Share of the views that are given no reference view."""
    drop_all: Share = 0.1
    """Share of the views of which everything is withheld, beside those of which each happens to be."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW, on everything but the kernels that Muon trains; cosine decay to zero."""
    muon_factor: float = 10.0
    """Learning rate of Muon on convolution kernels, as a multiple of `learning_rate`."""
    weight_decay: float = 1e-3
    """Weight decay of AdamW."""
    warmup_steps: NonNegative = 50
    """Steps of linear warm-up."""
    largest_gradient: Annotated[float, Range(above=0)] = 1.0
    """Norm that the gradient of all weights together is clipped to."""
    average_decay: Share = 0.999
    """Decay of the exponential moving average of the weights, which is the result; less in the first steps."""
    seed: Seed = 0
    """Seed of weights, batches and noise."""


PriorPreset = Literal["tiny", "small", "large"]

PRESETS: Mapping[PriorPreset, PriorTrainingConfig] = MappingProxyType(
    {
        "tiny": PriorTrainingConfig(
            steps=300, batch=16, size=64, network=PriorNetworkConfig(widths=(32, 64)), warmup_steps=20
        ),
        "small": PriorTrainingConfig(),
        "large": PriorTrainingConfig(
            steps=200_000,
            batch=128,
            size=256,
            network=PriorNetworkConfig(widths=(192, 384, 576), blocks=2, head_width=64),
            learning_rate=2e-4,
            warmup_steps=2000,
            average_decay=0.9999,
        ),
    }
)
"""Configurations by name: a minute or an hour and a half of one CPU core, and a day of a GPU, which is not measured."""


Objective = Literal["sds", "estimate", "sdi"]
"""Score distillation sampling; its denoised-estimate form; or the latter with noise by DDIM inversion."""

Weighting = Literal["uniform", "signal", "dreamfusion"]
"""w(t): 1, alpha_t, or sigma_t^2."""


@dataclass(frozen=True)
class ScoreConfig(Checked):
    """How a prior pulls rendered latents.

    Levels of noise are shares of all levels: 0 is none, 1 is noise alone. Each view of a step gets one at random from
    an interval that sinks as the scene takes shape.
    """

    objective: Objective = "estimate"
    """What pulls rendered latents."""
    weighting: Weighting = "signal"
    """How much each level of noise counts."""
    guidance: Annotated[float, Range(low=-1000, high=1000)] = 1.0
    """Scale of classifier-free guidance: 0 ignores the conditions, 1 follows them, more exaggerates them. Code that
    writes e_c + w (e_c - e_0) means this scale less 1."""
    highest_at_start: Share = 0.98
    """Upper end of the interval of levels in the first step."""
    highest_at_end: Share = 0.6
    """Upper end in the last step; linear between."""
    lowest_at_start: Share = 0.5
    """Lower end of the interval in the first step."""
    lowest_at_end: Share = 0.3
    """Lower end in the last step."""
    inversion_guidance: Annotated[float, Range(low=-1000, high=1000)] = -7.5
    """Scale of the guidance while noise is found by inversion; for the objective sdi alone."""
    inversion_steps: int = 10
    """Steps of that inversion."""

    def levels(self, progress: float) -> tuple[float, float]:
        """Ends of the interval of levels, shares of all, at `progress` in [0, 1]."""
        low = self.lowest_at_start + progress * (self.lowest_at_end - self.lowest_at_start)
        high = self.highest_at_start + progress * (self.highest_at_end - self.highest_at_start)
        return low, high

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for an interval of levels whose ends are crossed."""
        super().check(path)
        for moment in ("start", "end"):
            low, high = f"lowest_at_{moment}", f"highest_at_{moment}"
            if getattr(self, low) > getattr(self, high):
                raise ArgumentError(
                    joined(path, low),
                    f"is {getattr(self, low)}; expected at most `{joined(path, high)}`, {getattr(self, high)}",
                )


@dataclass(frozen=True)
class DistillationConfig(ScoreConfig):
    """How a prior's knowledge of views is distilled into a scene that is made or changed."""

    anchor: float = 0.3
    """Weight of the view that an object begins with, beside one that the prior judges; 0 leaves it to the prior."""
    background: Literal["white", "random"] = "white"
    """What is behind the object: white, which priors of this package know; or another plain colour in every view, so
    that surfaces cannot be made of background."""


RECOGNISED = "auto"
"""In place of a class: that which a prior recognises in the views that there are."""


@dataclass(frozen=True)
class FewViewsConfig(ScoreConfig):
    """How a prior regularises a fit to few views: beside them, it judges views that no photograph was taken of."""

    highest_at_end: Share = 0.9
    """Upper end in the last step; linear between."""
    lowest_at_start: Share = 0.8
    """Lower end of the interval in the first step."""
    lowest_at_end: Share = 0.6
    """Lower end in the last step."""
    weight: float = 0.6
    """Weight of the views that the prior judges beside the training views."""
    appearance: Share = 0.5
    """Share of the prior's pull that reaches what surfaces look like; all of it moves where surfaces are."""
    views: Annotated[int, Range(low=1, high=64)] = 4
    """Views that the prior judges in every step, from random directions."""
    references: Annotated[int, Range(low=1, high=6)] = 1
    """Training views, the nearest ones, that the prior is told in turn for every view: their predictions are meaned,
    nearer ones counting more."""
    category: str | None = RECOGNISED
    """Class of the object, one that the prior knows and is told; auto takes the one that it recognises in the training
    views, if any."""


EDITING = DistillationConfig(
    guidance=5.0,
    weighting="uniform",
    highest_at_start=0.9,
    highest_at_end=0.5,
    lowest_at_start=0.3,
    lowest_at_end=0.05,
)
"""How an edit uses a prior; its objective is delta denoising, whatever this says."""


TEXT = DistillationConfig(
    objective="sds",
    weighting="dreamfusion",
    guidance=50.0,
    highest_at_end=0.5,
    lowest_at_start=0.02,
    lowest_at_end=0.02,
    background="random",
)
"""How a text is distilled into a scene: DreamFusion's weights, levels from 2 % to 98 %, later to 50 %. Not measured."""


@dataclass(frozen=True)
class PriorRunConfig(Checked):
    """Everything that determines a run of `train_prior`."""

    kind: ClassVar[str] = "prior"

    scenes: tuple[Path, ...]
    """Scenes, or folders of them."""
    autoencoder: str
    """Name or folder of the autoencoder whose latents are learnt."""
    seconds: Annotated[float | None, Range(above=0)]
    """Limit on the training time, in seconds; None trains all steps."""
    training: PriorTrainingConfig
    """How it is trained."""
