"""The cell of most tables: a NeRF fitted to one scene, and its scores after both stages."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.timing import milliseconds
from latentfields.cameras import Cameras
from latentfields.files import read_json
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.run import Run
from latentfields.pages.pictures import to_pixels
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene
from latentfields.training.loop import read_log
from latentfields.training.recipe import METRICS_FILE

TIMED_VIEWS = 7
"""Test views that are rendered one by one to time it."""


@dataclass(frozen=True)
class FitJob:
    """What is fitted to what."""

    scene: Path
    """Folder of the scene."""
    autoencoder: str | None
    """Name or folder; None fits colours."""
    config: FitConfig
    """How."""
    folder: Path
    """Where the fit works; deleted when it is scored."""
    picture: Path
    """PNG file for the first test view: truth and decoded rendering, side by side."""


def fit_and_score(job: FitJob) -> dict[str, Any]:
    """Scores on the test views, decoded and of latents, after each stage; time of training and of one view; kernels.

    `curve` holds the points that the fit logged on its way, {step, seconds, cpu_seconds, psnr} on a few test views, and
    its end on all. Seconds are those that passed, CPU seconds those of the process, both with the rendering of those
    points. A fit that was begun by a version without CPU times has neither these nor a curve.
    """
    scene = load_scene(job.scene)
    autoencoder = None if job.autoencoder is None else load_autoencoder(job.autoencoder)
    run = fit(scene, autoencoder, out=job.folder, config=job.config)
    metrics = read_json(job.folder / METRICS_FILE)
    test = metrics["test"]
    records = read_log(job.folder)
    _save_picture(run, scene, job.picture)
    images = test["images"]["mean"]
    result = {
        "psnr": images["psnr"],
        "ssim": images["ssim"],
        "seconds": metrics["training_seconds"],
        "kernels": metrics["kernels"],
    }
    if all("cpu_seconds" in record for record in records):
        curve = quality_curve(records, final_psnr=images["psnr"])
        result |= {"cpu_seconds": curve[-1]["cpu_seconds"], "curve": curve}
    result |= _view_milliseconds(run, scene)
    if autoencoder is not None:
        # Without an alignment, Latent Supervision ends where the fit does.
        after = metrics["after_supervision"] or {
            "test_psnr": images["psnr"],
            "test_latent_psnr": test["latents"]["mean"]["psnr"],
        }
        result |= {
            "supervision_psnr": after["test_psnr"],
            "supervision_latent_psnr": after["test_latent_psnr"],
            "autoencoder_psnr": test["autoencoder"]["mean"]["psnr"],
        }
    shutil.rmtree(job.folder)
    return result


def quality_curve(records: Sequence[Mapping[str, Any]], *, final_psnr: float) -> list[dict[str, float]]:
    """Points {step, seconds, cpu_seconds, psnr} of a fit's log, oldest first; the last step has `final_psnr`."""
    *before, last = records
    points = [record | {"psnr": record["test_psnr"]} for record in map(dict, before) if "test_psnr" in record]
    points.append(dict(last) | {"psnr": final_psnr})
    return [{key: point[key] for key in ("step", "seconds", "cpu_seconds", "psnr")} for point in points]


def _view_milliseconds(run: Run, scene: Scene) -> dict[str, float]:
    """Medians over test views of rendering what is decoded, and of rendering and decoding."""
    cameras = scene.cropped_to_multiple(run.model.factor).cameras[scene.indices("test")[:TIMED_VIEWS]]
    singles = [cameras[index : index + 1] for index in range(len(cameras))]
    model = run.model
    return {
        "render_milliseconds": _median_milliseconds(model.render_features, singles),
        "frame_milliseconds": _median_milliseconds(
            lambda camera: model.decode(model.render_features(camera).features), singles
        ),
    }


def _median_milliseconds(function: Callable[[Cameras], object], cameras: Sequence[Cameras]) -> float:
    milliseconds(partial(function, cameras[0]))
    return statistics.median(milliseconds(partial(function, camera)) for camera in cameras)


def _save_picture(run: Run, scene: Scene, path: Path) -> None:
    factor = run.model.factor
    scene = scene.cropped_to_multiple(factor)
    index = scene.indices("test")[:1]
    pair = to_pixels(torch.cat([scene.images(index), run.render(scene.cameras[index])]))
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pair.shape[1:3]
    Image.fromarray(pair.transpose(1, 0, 2, 3).reshape(height, 2 * width, 3)).save(path)
