"""Scores of a fitted scene on its test views. Deterministic: no jitter, fixed order, per image, then averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.config.arguments import checked
from latentfields.config.checks import require
from latentfields.errors import ArgumentError, InputError
from latentfields.latent_nerf.capture_check import FogCounter, check_capture
from latentfields.latent_nerf.looking import TIMED_VIEWS, scaled_views, view_times
from latentfields.latent_nerf.picture_size import PICTURE_SIDE
from latentfields.latent_nerf.reference_views import ReferenceViews
from latentfields.latent_nerf.render import chosen_views, load_run_scene
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.measures.metrics import Scores, whole_cells
from latentfields.measures.standard import Measure, image_measures, latent_measures, on_kept_pixels
from latentfields.progress import watched
from latentfields.scenes.scene import Scene

BATCH = 8


@torch.no_grad()
def evaluate_model(
    model: SceneModel,
    original: Autoencoder | None,
    scene: Scene,
    *,
    grids: int = 1,
    references: ReferenceViews | None = None,
) -> dict[str, Any]:
    """Scores on the test split of `scene`, whose sides are multiples of the factor.

    - `images`: decoded renders against the photographs.
    - `with_grids`: the same on `grids`^2 grids of latents, as `SceneModel.render` has it, where that is more than one.
    - `with_references`: these with what `references` add, where they are given.
    - `colors`: rendered colours against the photographs, of a scene that has them beside latents.
    - `latents`: rendered against encoded latents (latent space only).
    - `against_autoencoded`: decoded renders against what the original autoencoder makes of the photographs.
    - `autoencoder`: that reconstruction against the photographs, the ceiling without alignment.

    Of a scene with sparse points, `capture` beside `test` has the shares of a `CaptureCheck`.
    Pixels that the scene ignores do not count. `original` is on the model's device.
    """
    indices = scene.indices("test")
    names = [scene.image_names[int(i)] for i in indices]
    measures, notes = image_measures()
    chunks = indices.split(BATCH)
    batches: dict[str, list[dict[str, Tensor]]] = {}

    def add(group: str, kind: dict[str, Measure], values: Tensor, targets: Tensor) -> None:
        batches.setdefault(group, []).append(
            {name: measure(values, targets) for name, measure in kind.items()}
        )

    fog = None if scene.points is None else FogCounter(scene.points, near=scene.near)
    for chunk in watched(chunks, "test views", total=len(chunks), unit="batch"):
        truth, kept = scene.images(chunk), scene.kept(chunk)
        cells = None if kept is None else whole_cells(kept, model.factor)
        here, latents = on_kept_pixels(measures, kept), on_kept_pixels(latent_measures(), cells)
        images, seen = model.render(scene.cameras[chunk])
        add("images", here, images, truth)
        if grids > 1:
            images_on_grids = model.render(scene.cameras[chunk], grids=grids)[0]
            add("with_grids", here, images_on_grids, truth)
        else:
            images_on_grids = images
        if references is not None:
            add(
                "with_references",
                here,
                references.improved(images_on_grids, seen, scene.cameras[chunk]),
                truth,
            )
        if fog is not None:
            fog.add(scene.cameras[chunk], seen)
        if model.pictures is not model:
            add("colors", here, model.pictures.render(scene.cameras[chunk])[0], truth)
        if original is not None:
            encoded = original.encode(truth.to(model.device))
            autoencoded = original.decode(encoded).clamp(0, 1).cpu()
            add("latents", latents, seen.features, encoded.cpu())
            add("against_autoencoded", here, images, autoencoded)
            add("autoencoder", here, autoencoded, truth)
    scores = {group: Scores.gather(names, parts) for group, parts in batches.items()}
    found = {"test": {group: score.to_json() for group, score in scores.items()}, "notes": notes}
    return found if fog is None else {**found, "capture": check_capture(scene, fog)}


@checked
def evaluate_run(
    run: Run | str | Path,
    *,
    scene: Scene | str | Path | None = None,
    scene_folder: str | Path | None = None,
    autoencoder: Autoencoder | str | Path | None = None,
    grids: int = 1,
    reference_views: int | None = None,
) -> dict[str, Any]:
    """Scores of a finished run, or of that in a folder or file, on the test views of its scene: `evaluate_model`.

    `["test"][group]` has the "mean" of every measure and its values per view; `["notes"]` says what is missing, and
    `["capture"]`, where there are sparse points, how well cameras, points and rendered depth go together. The scene is
    read from where it was fitted from; `scene`, or `scene_folder`, says where it is now, and a `scene` in memory is one
    as it was given to `fit`. `autoencoder` is the one that the run was fitted with, or where it is now: where neither
    it nor the one that the run names can be had, the groups that need it are left out, with a note. With
    `grids`, from 2, the group "with_grids" has pictures that are the mean over so many grids squared; with
    `reference_views`, from 1, the group "with_references" has the views with what so many photographs near each of them
    add (`ReferenceViews`). Raises InputError when the scene or the autoencoder is not what the run was fitted to and
    with.
    """
    run = Run.opened(run)
    if scene is not None and scene_folder is not None:
        raise ArgumentError("scene", "is given beside `scene_folder`; expected one of both")
    if isinstance(scene, Scene):
        scene = run.check_scene(scene)
    else:
        folder = scene_folder if scene is None else scene
        scene = load_run_scene(run, None if folder is None else Path(folder))
    original, notes = _original(run, autoencoder)
    run.model.grid_corners(grids)
    references = None
    if reference_views is not None:
        references = ReferenceViews(run.model, scene, count=reference_views, grids=grids)
    scores = evaluate_model(run.model, original, scene, grids=grids, references=references)
    return {**scores, "notes": [*scores["notes"], *notes]}


def looking(run: Run, *, look: int, scene_folder: Path | None = None) -> dict[str, float]:
    """Return the milliseconds of `rendering` a view and of the whole `frame` (`ViewTimes`), of some test views.

    Their longer side has `look` pixels, or the next whole latents. `scene_folder` says where the scene is now.
    """
    require("look", look, PICTURE_SIDE)
    model, views = run.shown(None), chosen_views(run, "test", scene_folder=scene_folder)
    return asdict(view_times(model, scaled_views(model, views.cameras[:TIMED_VIEWS], look)))


def _original(run: Run, given: Autoencoder | str | Path | None) -> tuple[Autoencoder | None, list[str]]:
    """The autoencoder before alignment, with the run's statistics, on its device; None and a note if it is gone."""
    if run.model.autoencoder is None:
        if given is not None:
            raise ArgumentError("autoencoder", f"is of no use for {run.folder}, which was fitted in RGB")
        return None, []
    if isinstance(given, Autoencoder):
        original = given.clone()
    elif given is not None:
        original = load_autoencoder(given)
    else:
        assert run.config.autoencoder is not None
        try:
            original = load_autoencoder(run.config.autoencoder)
        except InputError as error:
            missing = "Scores that need the autoencoder before alignment were left out"
            return None, [f"{missing}; say with `autoencoder` where it is now. {error}."]
    if run.frame.fingerprint is not None:
        run.frame.fingerprint.check_autoencoder(original)
    original.set_statistics(run.model.autoencoder.statistics)
    return original.to(run.model.device), []


def mean_scores(scores: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Averages over the test views, by group and measure, of what `evaluate_run` returns, or `metrics.json` holds."""
    return {group: values["mean"] for group, values in scores["test"].items()}


def summary_lines(scores: Mapping[str, Any]) -> list[str]:
    """Averages over the test views as text."""
    lines = [
        f"{group:20s} " + "  ".join(f"{name} {value:.4g}" for name, value in mean.items())
        for group, mean in mean_scores(scores).items()
    ]
    if "capture" in scores:
        shares = "  ".join(f"{name} {value:.2g}" for name, value in scores["capture"].items())
        lines.append(f"{'capture':20s} {shares}")
    return lines + list(scores["notes"])
