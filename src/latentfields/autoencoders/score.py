"""The 3D-awareness score by name: which objects it is taken on, and how it is read."""

from __future__ import annotations

import tempfile
from pathlib import Path

from latentfields.autoencoders.awareness import (
    NOISE,
    SCALE,
    SHIFTS,
    AwarenessScore,
    Consistency,
    score_awareness,
)
from latentfields.autoencoders.load import load_autoencoder
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError
from latentfields.files import Folders, as_folders
from latentfields.process import choose_device
from latentfields.scenes.load import load_scene, scene_folders
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import EVALUATION_FAMILIES, generate_object
from latentfields.scenes.scene import Scene

FIRST_SEED = 9000
"""Seed of the first generated object of each family: far from those of examples and benchmarks."""


def score_autoencoder(
    name: str | Path,
    *,
    scenes: Folders = (),
    objects: int = 2,
    views: int = 24,
    size: int = 128,
    device: str = "auto",
) -> AwarenessScore:
    """Score the autoencoder `name` (or folder) on scenes with depth maps, or on generated objects if there are none.

    `scenes` are scene folders or folders of them; their views keep their size. Otherwise `objects` objects of every
    evaluation family are rendered, `views` views of `size` pixels each. `device` is cpu, cuda, cuda:1 and so
    on, or auto: the first GPU, if any. Raises InputError for unusable input.
    """
    autoencoder = load_autoencoder(name).to(choose_device(device))
    if roots := as_folders(scenes):
        return score_awareness(autoencoder, [load_scene(folder) for folder in scene_folders(roots)])
    if size % autoencoder.factor:
        raise ArgumentError("size", f"is {size}; expected a multiple of the factor {autoencoder.factor}")
    return score_awareness(autoencoder, generated_scenes(objects=objects, views=views, size=size))


def generated_scenes(*, objects: int, views: int, size: int) -> tuple[Scene, ...]:
    """`objects` objects of every evaluation family, which no training of this package uses, with depth.

    Raises InputError for less than one object, and as `RenderConfig.check`.
    """
    require_at_least("objects", objects, 1)
    options = RenderConfig(views=views, size=size, test_fraction=0.0, val_fraction=0.0)
    scenes = []
    with tempfile.TemporaryDirectory(prefix="latentfields-") as folder:
        for family in EVALUATION_FAMILIES:
            for seed in range(FIRST_SEED, FIRST_SEED + objects):
                path = Path(folder) / f"{family}-{seed}"
                render_object_scene(generate_object(family, seed), path, options=options, seed=seed)
                scenes.append(load_scene(path))
    return tuple(scenes)


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
