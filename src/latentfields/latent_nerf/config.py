"""Configurations of a fit. Free of heavy imports, for the command line."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from latentfields.config.checks import Checked, NonNegative, Seed, joined
from latentfields.errors import ArgumentError
from latentfields.fields.config import (
    FieldConfig,
    GaussiansConfig,
    KPlanesConfig,
    Statistics,
)
from latentfields.rendering.config import (
    GridSamplingConfig,
    SamplingConfig,
    SplattingConfig,
)
from latentfields.scenes.reading import Bounds

Space = Literal["latent", "rgb", "both"]
"""What a field is fitted to: an autoencoder's latents; pixels as an ordinary NeRF; or both at once, of one geometry."""

Show = Literal["colors", "decoded"]
"""What pictures of a scene are: its colours, or its decoded latents. Scenes in the space both have the two."""

AlignmentKind = Literal["none", "scene", "full"]
"""What RGB Alignment moves: nothing, it is left out; the scene alone, so that one decoder serves all scenes; or scene
and decoder, as in the paper, which makes the decoder one of this scene."""

AlignmentObjective = Literal["regularised", "rgb"]
"""Objective of RGB Alignment: the error of decoded images and, as in Latent Supervision, the losses that field and
sampler have of their own; or the error of decoded images alone, which is Eq. 3."""

AlignmentGrid = Literal["fixed", "shifted"]
"""Where the grid of latents lies on the pictures of RGB Alignment: as the autoencoder has it, or a part of a latent off
it."""

CropMargin = Literal["exact", "approximate"]
"""Latents around a part of a picture that are rendered with it: all that it is decoded from, or a few."""

APPROXIMATE_MARGIN = 8
"""Latents on each side of a part whose margin is approximate, at most."""

FEW_VIEWS_SHIFTS = 4
"""Shifts along each side of views that a prior helps, unless others are asked for (docs/results/generation.md)."""

Exposure = Literal["none", "affine"]
"""What tells training views' colours from the scene's: nothing, or an affine map for each of them."""

DecoderPrecision = Literal["auto", "float32", "bfloat16"]
"""Arithmetic of the decoder while it is trained."""


@dataclass(frozen=True)
class StageConfig(Checked):
    """One stage of the latent NeRF pipeline (IG-AE Sec. 3.2; factors and iterations as in Table 16)."""

    steps: NonNegative
    """Optimiser steps of this stage."""
    learning_rate_factor: float
    """Multiplies the field's own learning rates (xi_LS or xi_align)."""


@dataclass(frozen=True)
class FitConfig(Checked):
    """Everything that determines a fit, beside the scene and the autoencoder."""

    space: Space = "latent"
    """Fit the field to the autoencoder's latents, to pixels as an ordinary NeRF (no alignment stage then), or to both:
    one geometry with colours and latents."""
    field: FieldConfig = dataclasses.field(default_factory=KPlanesConfig)
    """The field, its optimiser and its regularisers."""
    sampling: SamplingConfig = dataclasses.field(default_factory=GridSamplingConfig)
    """How rays are sampled; Gaussians are splatted."""
    supervision: StageConfig = dataclasses.field(default_factory=lambda: StageConfig(400, 1.0))
    """Latent Supervision (Eq. 2). RGB space has one stage, as long as both together, with these rates. In the space
    both, colours are fitted through both stages with the field's own rates, and these are for latents."""
    alignment: StageConfig = dataclasses.field(default_factory=lambda: StageConfig(1600, 0.5))
    """RGB Alignment (Eq. 3). RGB space has no such stage: steps that are asked for lengthen its only one."""
    alignment_kind: AlignmentKind = "full"
    """What RGB Alignment moves: nothing (it is left out), the scene alone, or scene and decoder. Not used in RGB
    space."""
    alignment_objective: AlignmentObjective = "regularised"
    """Whether RGB Alignment keeps the losses that field and sampler have of their own (Eq. 3 has none)."""
    alignment_grid: AlignmentGrid = "fixed"
    """Where the grid of latents lies on a picture in a step of RGB Alignment: as the autoencoder has it, which is the
    papers' (fixed), or moved by a part of a latent that is drawn anew in every step (shifted). Scene and decoder learn
    less of the training views by heart then: each of them is seen on as many grids as a latent has pixels."""
    optimizer_at_alignment: Literal["keep", "reset"] = "reset"
    """Whether the field's optimiser keeps its moments when alignment starts."""
    decoder_learning_rate: float = 1e-3
    """Adam learning rate of the decoder during alignment."""
    decoder_final_learning_rate: float = 0.1
    """Fraction of the decoder's learning rate that is left at the end, reached exponentially."""
    decoder_precision: DecoderPrecision = "auto"
    """What the decoder computes in during alignment, where it is most of a step: bfloat16 (weights, losses and
    everything else stay in float32), float32, or the former where the processor has instructions for it (auto)."""
    normalizer: Literal["standard", "tanh"] = "standard"
    """What the field is fitted to: latents of unit scale per channel, by a linear head; or tanh(0.02 z) of the raw
    latents z, moved to [0, 1], by a sigmoid head, as the code released with IG-AE does. Not used in RGB space."""
    statistics: Statistics = "autoencoder"
    """What gives latents their scale: the autoencoder's own statistics, where it has any, or those of the scene's
    training views (LRF App. A.3): their spread, or with scene-min-max their extent, as the code released with LRF has
    it, which fits fields to [0, 1]. Not used in RGB space."""
    latents: Literal["mean", "sample"] = "mean"
    """What a field is fitted to: means of the posterior, or one draw from it per view, as in the code released with
    IG-AE. Deterministic autoencoders have means alone. Not used in RGB space."""
    batch_images: int = 4
    """Whole images per step, of latents or of what is splatted; of a scene without bounds a quarter of them, at least
    one."""
    batch_rays: int = 4096
    """Random pixels per step in RGB space, for fields that are looked at along rays; Gaussians see whole images. In a
    scene without bounds it is a quarter of them, of a vanilla NeRF a sixteenth: its rays have no empty part that is
    skipped."""
    geometry_from_latents: float = 0.0
    """Weight of the gradient with which latents move the geometry that they share with colours, in the space both: 0
    leaves it to colours, 1 lets both losses pull alike. Not used in other spaces."""
    crop: NonNegative = 256
    """Pixels along a side of the part of a picture that a step in latent space looks at, of larger pictures: it is
    rendered with the latents around it that its decoded pixels depend on. 0 looks at whole pictures, as the papers do.
    Latents of Gaussians are supervised as whole pictures in any case."""
    crop_margin: CropMargin = "exact"
    """Which latents those are: all (exact), so that the part is decoded as it is in the whole picture; a decoder that
    looks at all of a picture, as by attention, then decodes whole pictures. Or at most 8 on each side (approximate)."""
    subpixels: int = 2
    """Rays or splatted pixels per latent along one side: 1, the papers', or an even number, mixed by a learned
    projection."""
    subpixel_width: int = 48
    """Hidden channels of that projection."""
    subpixel_learning_rate: float = 3e-3
    """Adam learning rate of that projection and of the background before it."""
    shifts: int | None = None
    """Encodings of every training view along each side, of the picture moved by parts of a latent, so that rays go
    between the centres of its latents, too. They divide the autoencoder's factor, and more than one need alpha. By
    default 1, the picture as it is, as in the papers; 4 where a prior regularises a fit to few views of which no pixels
    are left out. Not used in RGB space."""
    exposure: Exposure = "none"
    """Whether every training view has an affine map of colours of its own, fitted with the scene, for what exposure and
    white balance differ between photographs; test views are rendered without, which is the maps' mean."""
    exposure_learning_rate: float = 1e-3
    """Adam learning rate of those maps."""
    point_depth_weight: float = 0.0
    """Weight of the difference between the logarithms of rendered depths and of those of the scene's sparse points."""
    seed: Seed = 0
    """Seed of weights, batches and jitter."""

    @property
    def aligns(self) -> bool:
        """True when there is a stage of RGB Alignment."""
        return self.space != "rgb" and self.alignment_kind != "none" and self.alignment.steps > 0

    @property
    def moves_decoder(self) -> bool:
        """True when the decoder becomes one of this scene; otherwise it stays the one of all scenes."""
        return self.aligns and self.alignment_kind == "full"

    @property
    def total_steps(self) -> int:
        """Steps of both stages, where there are two; in RGB space as many, of one stage."""
        skipped = self.space == "latent" and not self.aligns
        return self.supervision.steps + (0 if skipped else self.alignment.steps)

    def in_batch(self, count: int, *, bounds: Bounds) -> int:
        """The number of rays or images of a step, of `count` that are configured, in a scene with such bounds."""
        return self.field.unbounded_batch(count) if bounds == "scene" else count

    def shifts_of(self, factor: int, *, few_views: bool) -> int:
        """Encodings of a view along each side, of latents of `factor` pixels; with a prior, `few_views` is true."""
        return self.shifts or (math.gcd(FEW_VIEWS_SHIFTS, factor) if few_views else 1)

    def with_steps(self, *, supervision: int, alignment: int) -> FitConfig:
        """The same fit with other numbers of steps."""
        return dataclasses.replace(
            self,
            supervision=dataclasses.replace(self.supervision, steps=supervision),
            alignment=dataclasses.replace(self.alignment, steps=alignment),
        )

    def of_colors(self) -> FitConfig:
        """The fit of the colours alone, as part of a fit in the space both: that in RGB space, as many steps long, with
        the field's own rates."""
        one = self.in_one_stage()
        return dataclasses.replace(
            one, space="rgb", supervision=dataclasses.replace(one.supervision, learning_rate_factor=1.0)
        )

    def of_latents(self) -> FitConfig:
        """The fit of the latents alone, as part of a fit in the space both."""
        return dataclasses.replace(self, space="latent")

    def in_one_stage(self) -> FitConfig:
        """The same number of steps, all of the first stage: the same fit in RGB space, which has no other."""
        return self.with_steps(supervision=self.supervision.steps + self.alignment.steps, alignment=0)

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for values that do not go together."""
        super().check(path)
        supervision, alignment = joined(path, "supervision.steps"), joined(path, "alignment.steps")
        if self.supervision.steps + self.alignment.steps < 1:
            raise ArgumentError(supervision, f"is 0, and so is `{alignment}`; expected at least one step")
        if self.total_steps < 1:
            kind = joined(path, "alignment_kind")
            raise ArgumentError(supervision, f"is 0 with `{kind}` none; expected at least one step")
        if self.normalizer == "tanh" and self.statistics == "scene-min-max":
            raise ArgumentError(
                joined(path, "statistics"),
                f"is scene-min-max with `{joined(path, 'normalizer')}` tanh, which has a scale of its own; "
                "expected autoencoder or scene",
            )
        if self.subpixels != 1 and self.subpixels % 2:
            raise ArgumentError(
                joined(path, "subpixels"), f"is {self.subpixels}; expected 1 or an even number"
            )
        if isinstance(self.field, GaussiansConfig) != isinstance(self.sampling, SplattingConfig):
            raise ArgumentError(
                joined(path, "sampling"),
                f"is {self.sampling.kind} for the field {self.field.kind}; expected splatting for gaussians, "
                "and for them alone",
            )
