"""The 3D-awareness score by name: which objects it is taken on, and how it is read."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.awareness import (
    NOISE,
    SCALE,
    SHIFTS,
    AwarenessScore,
    Consistency,
    score_awareness,
)
from latentfields.autoencoders.load import load_autoencoder, opened, packaged_autoencoders
from latentfields.config.arguments import checked
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError
from latentfields.process import choose_device
from latentfields.progress import watched
from latentfields.scenes.load import Scenes, load_scene, opened_scenes
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import EVALUATION_FAMILIES, generate_object
from latentfields.scenes.scene import Scene

ALIKE = 0.05
"""Difference of inconsistency, as a share, under which a verdict calls two autoencoders alike."""
FIRST_SEED = 9000
"""Seed of the first generated object of each family: far from those of examples and benchmarks."""


@dataclass(frozen=True)
class Comparison:
    """A score beside those of the packaged autoencoders on the same objects."""

    score: AwarenessScore
    packaged: tuple[AwarenessScore, ...]
    """Those whose factor divides the views' size, but for the scored one itself, best first."""

    def to_json(self) -> dict[str, Any]:
        """The score's plain values, and those of the packaged ones by name."""
        packaged = {score.autoencoder: score.to_json() for score in self.packaged}
        return {**self.score.to_json(), "packaged": packaged}


@checked
def score_autoencoder(
    name: Autoencoder | str | Path,
    *,
    scenes: Scenes = (),
    objects: int = 2,
    views: int = 24,
    size: int = 128,
    device: str = "auto",
) -> AwarenessScore:
    """Score an autoencoder, or that of a name or folder, on scenes with depth maps, or on generated objects without.

    `scenes` are scenes, in memory or folders, or folders of them; their views keep their size. Otherwise `objects`
    objects of every evaluation family are rendered, `views` views of `size` pixels each. `device` is cpu, cuda, cuda:1
    and so on, or auto: the first GPU, if any. Raises InputError for unusable input.
    """
    autoencoder = opened(name).to(choose_device(device))
    looked_at = _scenes(autoencoder, scenes, objects=objects, views=views, size=size)
    return score_awareness(autoencoder, looked_at)


@checked
def compare_with_packaged(
    name: Autoencoder | str | Path,
    *,
    scenes: Scenes = (),
    objects: int = 2,
    views: int = 24,
    size: int = 128,
    device: str = "auto",
) -> Comparison:
    """As `score_autoencoder`, with the packaged autoencoders on the same objects beside it."""
    target = choose_device(device)
    autoencoder = opened(name).to(target)
    looked_at = _scenes(autoencoder, scenes, objects=objects, views=views, size=size)
    score = score_awareness(autoencoder, looked_at)
    others = [load_autoencoder(other) for other in packaged_autoencoders() if other != autoencoder.name]
    fitting = [
        other
        for other in others
        if all(side % other.factor == 0 for scene in looked_at for side in scene.size)
    ]
    scores = [score_awareness(other.to(target), looked_at) for other in fitting]
    return Comparison(score, tuple(sorted(scores, key=lambda other: other.latents.inconsistency)))


def _scenes(
    autoencoder: Autoencoder, scenes: Scenes, *, objects: int, views: int, size: int
) -> Sequence[Scene]:
    """The scenes that an autoencoder is scored on."""
    if named := opened_scenes(scenes):
        return named
    if size % autoencoder.factor:
        raise ArgumentError("size", f"is {size}; expected a multiple of the factor {autoencoder.factor}")
    return generated_scenes(objects=objects, views=views, size=size)


def generated_scenes(*, objects: int, views: int, size: int) -> tuple[Scene, ...]:
    """`objects` objects of every evaluation family, which no training of this package uses, with depth.

    Raises InputError for less than one object, and as `RenderConfig.check`.
    """
    require_at_least("objects", objects, 1)
    options = RenderConfig(views=views, size=size, test_fraction=0.0, val_fraction=0.0)
    wanted = [(family, FIRST_SEED + index) for family in EVALUATION_FAMILIES for index in range(objects)]
    scenes = []
    with tempfile.TemporaryDirectory(prefix="latentfields-") as folder:
        for family, seed in watched(wanted, "objects", total=len(wanted), unit="object"):
            path = Path(folder) / f"{family}-{seed}"
            render_object_scene(generate_object(family, seed), path, options=options, seed=seed)
            scenes.append(load_scene(path))
    return tuple(scenes)


def verdict(comparison: Comparison) -> list[str]:
    """What the numbers say, in words: how well views agree, and what noise costs, beside the packaged autoencoders."""
    own, others = comparison.score, comparison.packaged
    if not others:
        return []
    value = own.latents.inconsistency
    better = [other for other in others if other.latents.inconsistency > value * (1 + ALIKE)]
    worse = [other for other in others if other.latents.inconsistency < value * (1 - ALIKE)]
    alike = [other for other in others if other not in better and other not in worse]
    parts = [
        f"{words} those of {_names(group)}"
        for words, group in (("better than", better), ("about as well as", alike), ("worse than", worse))
        if group
    ]
    lines = [f"Between views, latents of {own.autoencoder} ({value:.3f}) agree {', and '.join(parts)}."]
    steadier = [other.autoencoder for other in others if other.noise_psnr < own.noise_psnr]
    lines.append(
        f"Under noise they decode {own.noise_psnr:.1f} dB true, "
        + (f"better than {' and '.join(steadier)}." if steadier else "worse than all of them.")
    )
    if worse and not better:
        lines.append("What views disagree about blurs in a field; `autoencoder finetune-3d` makes it less.")
    return lines


def _names(scores: Sequence[AwarenessScore]) -> str:
    return " and ".join(f"{score.autoencoder} ({score.latents.inconsistency:.3f})" for score in scores)


def summary_lines(score: AwarenessScore) -> list[str]:
    """A table of what the score says."""
    rows = [("0 is perfect, 1 is chance", "latents", "pixels (floor)")]
    rows += [
        (label, f"{latents:.4f}", f"{pixels:.4f}")
        for (label, latents), (_, pixels) in zip(_rows(score.latents), _rows(score.pixels), strict=True)
    ]
    lines = [f"{label:38s} {latents:>9s} {pixels:>15s}" for label, latents, pixels in rows]
    lines.append(
        f"decoded with noise of {NOISE:g} on latents, against decoded without: {score.noise_psnr:.2f} dB"
    )
    return [*lines, f"{score.points} corresponding latents on {score.scenes} objects, {score.autoencoder}"]


def _rows(values: Consistency) -> list[tuple[str, float]]:
    bands = [
        (f"  at {band.low:.3f} to {band.high:.3f} cycles per latent", band.inconsistency)
        for band in values.spectrum
    ]
    shifts = [
        (f"shift by {shift:g} latents", error)
        for shift, error in zip(SHIFTS, values.shift_errors, strict=True)
    ]
    return [
        ("inconsistency between views", values.inconsistency),
        *bands,
        *shifts,
        (f"scale by {SCALE:g}", values.scale_error),
    ]
