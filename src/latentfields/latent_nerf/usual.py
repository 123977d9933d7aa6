"""What a fit is where nobody names its field: chosen by what the scene is, as measured (docs/results/captures.md).

This is the one place that says it, for the command line, for Python, and for fleets. Free of heavy imports.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from latentfields.config.checks import Checked
from latentfields.config.typed_json import to_json, with_changes
from latentfields.fields.config import RECIPES, FieldName, GaussiansConfig
from latentfields.latent_nerf.config import AlignmentGrid, FitConfig, Space
from latentfields.latent_nerf.presets import preset, rays_per_side
from latentfields.rendering.config import SplattingConfig
from latentfields.scenes.reading import SceneKind


@dataclass(frozen=True)
class Habit:
    """What scenes of a kind are fitted with."""

    space: Space
    """The space, where there is an autoencoder and nobody names one."""
    fields: Mapping[Space, FieldName]
    """The field in every space."""
    side_on_cpu: int
    """Pixels of the longer side that larger pictures are shrunk to, where they are fitted on a processor."""
    steps: tuple[int, int] | None = None
    """Steps of Latent Supervision and RGB Alignment; None takes the preset's."""
    alignment_factor: float | None = None
    """Multiplies learning rates during RGB Alignment (xi_align); None takes the preset's."""
    decoder_learning_rate: float | None = None
    """Learning rate of the decoder during RGB Alignment; None takes the preset's."""
    subpixels: int = 1
    """Rays or splatted pixels per latent along one side, at least, but one for every second pixel at most."""
    alignment_grid: AlignmentGrid = "fixed"
    """Where the grid of latents lies in steps of RGB Alignment."""
    latents_blur: float | None = None
    """Variance in square pixels that is added to Gaussians of latents alone; None takes the preset's."""

    def seen(self, config: FitConfig, *, factor: int, subpixels: int | None = None) -> FitConfig:
        """Return `config` with rays, and images per step, for latents of `factor` pixels a side.

        `subpixels` are the rays per latent along one side, by default those of scenes of this kind.
        Along rays, a step sees as many as are a quarter of the pixels of an image, and of large ones parts of at most
        64 latents a side, with what is around them.
        """
        if subpixels is None:
            subpixels = max(rays_per_side(factor), min(self.subpixels, factor // 2))
        config = replace(config, subpixels=subpixels)
        if isinstance(config.field, GaussiansConfig):
            return config
        images, crop = max(1, (factor // (2 * subpixels)) ** 2), min(config.crop, PART * factor)
        return replace(config, batch_images=images, crop=crop)

    def tuned(self, config: FitConfig) -> FitConfig:
        """Return `config` with the learning rates, the blur, and the grid of RGB Alignment, of scenes of this kind.

        Where that grid moves, planes are as smooth as those of colours: views that are seen on many grids are hardly
        learnt by heart.
        """
        factor, rate = self.alignment_factor, self.decoder_learning_rate
        if factor is not None:
            config = replace(config, alignment=replace(config.alignment, learning_rate_factor=factor))
        if rate is not None:
            config = replace(config, decoder_learning_rate=rate)
        blur, sampling = self.latents_blur, config.sampling
        if config.space == "latent" and blur is not None and isinstance(sampling, SplattingConfig):
            config = replace(config, sampling=replace(sampling, blur=blur))
        if config.space == "rgb" or config.alignment_kind == "none" or self.alignment_grid == "fixed":
            return config
        as_colors = RECIPES[cast("FieldName", config.field.kind)]["small"].rgb_field
        if config.space == "latent" and config.alignment_kind == "full" and as_colors is not None:
            config = replace(config, field=as_colors)
        return replace(config, alignment_grid=self.alignment_grid)

    def for_latents(self, config: FitConfig, *, factor: int, subpixels: int | None = None) -> FitConfig:
        """Return `config` as scenes of this kind are fitted to latents of `factor` pixels a side."""
        return self.seen(self.tuned(config), factor=factor, subpixels=subpixels)


HABITS: Mapping[SceneKind, Habit] = MappingProxyType(
    {
        "object": Habit(
            space="latent",
            fields={"latent": "kplanes", "rgb": "kplanes", "both": "kplanes"},
            side_on_cpu=1600,
            subpixels=2,
            alignment_grid="shifted",
        ),
        # Splatting sees whole pictures: more steps, or larger pictures, are more than five minutes of a core.
        "capture": Habit(
            space="both",
            fields={"latent": "gaussians", "rgb": "gaussians", "both": "gaussians"},
            side_on_cpu=512,
            steps=(700, 700),
            # Rates that jump at the start of RGB Alignment undo what was learnt before.
            alignment_factor=0.3,
            decoder_learning_rate=4e-4,
            subpixels=2,
            alignment_grid="shifted",
            latents_blur=0.1,
        ),
    }
)
PART = 64
"""Latents along a side of the parts of pictures that steps look at, at most."""
EARLIER = replace(HABITS["object"], subpixels=1, alignment_grid="fixed")
"""What earlier versions fitted every scene with, whose runs are gone on with as they were begun."""
FEW_VIEWS_STEPS = 150
"""Steps of Latent Supervision beside a prior: more learn the few views by heart (docs/results/generation.md)."""
SIDE_ON_GPU = 1600
"""Pixels; larger photographs are shrunk unless their size is asked for, as those who made 3DGS do, too."""


def named_for_latents(config: FitConfig, *, factor: int) -> FitConfig:
    """Return the preset of a field that is named as it is fitted to latents of `factor` pixels a side.

    As objects are, but one ray sees a latent of four pixels: captures, which have no empty space to skip, would take
    long otherwise.
    """
    return HABITS["object"].for_latents(config, factor=factor, subpixels=rays_per_side(factor))


def usual_side(kind: SceneKind, *, device: str) -> int:
    """Pixels of the longer side that larger pictures of a scene are shrunk to where no size is asked for.

    `device` is the type of what computes, such as cpu.
    """
    return HABITS[kind].side_on_cpu if device == "cpu" else SIDE_ON_GPU


@dataclass(frozen=True)
class UsualFit(Checked):
    """A fit that is chosen by what the scene is, with what is asked for on top."""

    space: Space | None = None
    """What the field is fitted to; None: with an autoencoder as is usual, without one colours."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Settings that differ from what is usual, in the JSON form of a `FitConfig`; those of a field or a sampler are for
    fits that name theirs."""

    def of(
        self, kind: SceneKind, *, colors: bool, factor: int | None = None, prior: bool = False
    ) -> FitConfig:
        """The fit of a scene of that kind: to `colors` alone, or with latents of `factor` pixels a side, if known.

        With a `prior`, which judges latents of objects, it is that of an object in latents. Raises InputError for
        changes that do not fit.
        """
        return self._by(HABITS["object" if prior else kind], colors=colors, factor=factor, prior=prior)

    def as_earlier(self, *, colors: bool, factor: int | None = None) -> FitConfig:
        """The fit of a scene of any kind as earlier versions chose it. Raises InputError as `of`."""
        config = self._by(EARLIER, colors=colors, factor=factor)
        before = to_json(preset(EARLIER.fields[config.space], space=config.space))
        kept = {name: before[name] for name in ("batch_images", "crop") if name not in self.changes}
        return with_changes(config, kept, source=Path("settings"))

    def _by(self, habit: Habit, *, colors: bool, factor: int | None = None, prior: bool = False) -> FitConfig:
        space = self.space or ("rgb" if colors else habit.space)
        config = preset(habit.fields[space], space=space)
        if prior:
            config = config.with_steps(supervision=FEW_VIEWS_STEPS, alignment=config.alignment.steps)
            # It gains as often as it loses with few views, at several times the time.
            config = replace(config, alignment_kind="none")
        if habit.steps is not None:
            supervision, alignment = habit.steps
            config = config.with_steps(supervision=supervision, alignment=alignment)
        if "alignment_kind" in self.changes:
            # What suits an alignment depends on whether, and of what, there is one.
            asked = {"alignment_kind": self.changes["alignment_kind"]}
            config = with_changes(config, asked, source=Path("settings"))
        config = habit.tuned(config)
        if space == "rgb":
            # Steps that are asked for are all steps then: there is no alignment that would add its own.
            config = config.in_one_stage()
        elif factor is not None:
            config = habit.seen(config, factor=factor)
        return with_changes(config, self.changes, source=Path("settings"))
