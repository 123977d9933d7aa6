"""Cells of `latentfields bench lrf`: a field fitted to one scene, in a latent space or to images, and its scores."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.lrf_memory import peak_memory
from latentfields.bench.lrf_scenes import TestScene
from latentfields.bench.timing import milliseconds
from latentfields.cameras import Cameras
from latentfields.files import read_json
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.run import MODEL_FILE, Run
from latentfields.lrf.decoder.pairs import fit_latent_field
from latentfields.measures.metrics import Scores
from latentfields.measures.standard import image_measures
from latentfields.pages.pictures import save_png, to_pixels
from latentfields.process import choose_device
from latentfields.scenes.scene import Scene
from latentfields.training.recipe import METRICS_FILE

TIMED_VIEWS = 8
"""Test views that are rendered, and decoded, to time it."""


@dataclass(frozen=True)
class LatentFitJob:
    """A field fitted to the latents of one encoder, and the decoders that its renderings go through."""

    scene: TestScene
    encoder: str
    """Name or folder of the autoencoder."""
    decoders: tuple[tuple[str, str], ...]
    """(role, name or folder) of autoencoders that share this encoder."""
    training_views: int | None
    """Views to fit to, evenly chosen; None takes all."""
    config: FitConfig
    folder: Path
    """Where the fit works; deleted when it is scored."""
    pictures: Path
    """Folder for the first test view by every method."""


def fit_latents(job: LatentFitJob) -> dict[str, Any]:
    """Scores of the decoded test views by role, and what the fit costs; see `_costs`."""
    autoencoder = load_autoencoder(job.encoder)
    scene = job.scene.load(factor=autoencoder.factor, training_views=job.training_views)
    with peak_memory(choose_device("auto")) as memory:
        run = fit_latent_field(scene, autoencoder, out=job.folder, config=job.config)
    cameras = scene.cameras[scene.indices("test")]
    model, device = run.model, run.model.device
    latents = model.render(cameras)[1].features.to(device)
    own = model.autoencoder
    assert own is not None
    renderings = {}
    for role, name in job.decoders:
        decoder = load_autoencoder(name).to(device)
        # The field's latents are normalised by statistics of this scene.
        decoder.set_statistics(own.statistics)
        renderings[role] = decoder.decode_batches(latents).cpu()
    timed = cameras[:TIMED_VIEWS]
    result = _costs(run, timed) | {
        "memory": memory.mebibytes,
        "decoding_milliseconds": _milliseconds(lambda: own.decode(latents[:TIMED_VIEWS]), len(timed)),
        "latent_psnr": read_json(job.folder / METRICS_FILE)["test"]["latents"]["mean"]["psnr"],
        "methods": _scored(renderings, scene, job.pictures),
    }
    shutil.rmtree(job.folder)
    return result


@dataclass(frozen=True)
class ImageFitJob:
    """A field fitted to images of a lower resolution."""

    scene: TestScene
    factor: int
    """Pixels per latent: all methods are compared on the same whole latents."""
    divisor: int
    """Full over fitted resolution."""
    training_views: int | None
    """Views to fit to, evenly chosen; None takes all."""
    config: FitConfig
    folder: Path
    """Where the fit works; deleted when it is scored."""
    pictures: Path
    """Folder for the first test view by every method."""


def fit_images(job: ImageFitJob) -> dict[str, Any]:
    """Scores of the test views at full resolution, and what the fit costs; see `_costs`.

    Methods are `image/D upsampled`, renderings of the fitted resolution with bicubic interpolation, and
    `image/D enlarged`, renderings of the full resolution, which is how LRF Table 1 has them; for the divisor 1, where
    there is no difference, `image/1`.
    """
    scene = job.scene.load(factor=job.factor, training_views=job.training_views)
    height, width = scene.size
    small = scene.resized(width=width // job.divisor, height=height // job.divisor)
    with peak_memory(choose_device("auto")) as memory:
        run = fit(small, None, out=job.folder, config=job.config)
    test = scene.indices("test")
    name, full = f"image/{job.divisor}", run.model.render(scene.cameras[test])[0]
    renderings = {name: full}
    if job.divisor > 1:
        rendered = run.model.render(small.cameras[test])[0]
        upsampled = torch.nn.functional.interpolate(rendered, size=(height, width), mode="bicubic")
        renderings = {f"{name} upsampled": upsampled.clamp(0, 1), f"{name} enlarged": full}
    result = _costs(run, small.cameras[test[:TIMED_VIEWS]])
    result |= {"memory": memory.mebibytes, "methods": _scored(renderings, scene, job.pictures)}
    shutil.rmtree(job.folder)
    return result


def _costs(run: Run, cameras: Cameras) -> dict[str, Any]:
    """Seconds of training, bytes of the scene's own file, and milliseconds of rendering one of the cameras."""
    return {
        "seconds": read_json(run.folder / METRICS_FILE)["training_seconds"],
        "bytes": (run.folder / MODEL_FILE).stat().st_size,
        "rendering_milliseconds": _milliseconds(lambda: run.model.render_features(cameras), len(cameras)),
    }


def _milliseconds(function: Callable[[], object], views: int) -> float:
    """Time per view of a function that makes `views` of them, the second time that it is called."""
    milliseconds(function)
    return milliseconds(function) / views


def _scored(renderings: Mapping[str, Tensor], scene: Scene, pictures: Path) -> dict[str, dict[str, float]]:
    """Mean image measures of the test views by method; the first of them, and its truth, become pictures."""
    measures, _ = image_measures()
    test = scene.indices("test")
    truth = scene.images(test)
    save_png(pictures / "truth.png", to_pixels(truth[0]))
    scores = {}
    for method, images in renderings.items():
        save_png(pictures / f"{method.replace('/', '-')}.png", to_pixels(images[0]))
        values = {name: measure(images, truth) for name, measure in measures.items()}
        scores[method] = Scores.gather([scene.image_names[int(index)] for index in test], [values]).means
    return scores
