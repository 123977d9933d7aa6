"""The cells that most tables are made of: a field is fitted to one scene, and scored on its test views."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.rows import Record
from latentfields.bench.scenes import StudyScene
from latentfields.cameras import Cameras
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.looking import TIMED_VIEWS, scaled_views, view_times
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.reference_views import ReferenceViews
from latentfields.latent_nerf.run import MODEL_FILE, Run
from latentfields.measures.cost import PeakMemory, milliseconds, peak_memory
from latentfields.measures.metrics import psnr
from latentfields.measures.standard import LPIPS, image_measures
from latentfields.pages.pictures import Pixels, save_png, to_pixels
from latentfields.process import choose_device
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread
from latentfields.training.loop import read_log

TIMED_SINGLY, TIMED_TOGETHER = 7, 8
"""Test views that are rendered to time it: one by one, as someone would who moves around, or as one batch."""

TRAINING_VIEWS = 8
"""Training views that are scored, too, evenly spread."""


def fit_and_score(
    *,
    scene: StudyScene,
    autoencoder: str | None,
    config: FitConfig,
    device: str,
    folder: Path,
    picture: Path,
    cpu_seconds: float | None = None,
    look: int | None = None,
    grids: int = 1,
    reference_views: int | None = None,
) -> dict[str, Any]:
    """Fit, and score the test views, decoded and as latents, after each stage; time training and views.

    `autoencoder` is a name or folder; None fits colours. `folder` is where the fit works, deleted when it is scored;
    `picture` the PNG file for truth and decoded rendering of the first test view, side by side. `cpu_seconds` limits
    the training to so many that the process computes. `look` times views whose longer side has so many pixels, too.
    Decoded views are scored on `grids`^2 grids of latents as well, if that is more than one (`SceneModel.render`), and
    all with what `reference_views` photographs add (`ReferenceViews`).

    `curve` holds the points that the fit logged on its way, {step, seconds, cpu_seconds, psnr} on a few test views, and
    its end on all. Seconds are those that passed, CPU seconds those of the process, both with the rendering of those
    points. A fit that was begun by a version without CPU times has neither these nor a curve.
    """
    views = scene.load()
    with _fitted(views, autoencoder, folder, config, device, seconds=cpu_seconds) as (run, metrics, _):
        save_png(picture, _truth_and_rendering(run, views))
        test, images, after = metrics["test"], metrics["test"]["images"]["mean"], metrics["after_supervision"]
        cameras = views.cropped_to_multiple(run.model.factor).cameras[views.indices("test")]
        times = view_times(run.model, cameras[:TIMED_SINGLY], clock=time.perf_counter)
        result = {
            **{name: images[name] for name in ("psnr", "ssim", *LPIPS) if name in images},
            "seconds": metrics["training_seconds"],
            "kernels": metrics["kernels"],
            "render_milliseconds": times.rendering,
            "frame_milliseconds": times.frame,
        }
        records = read_log(run.folder)
        if all("cpu_seconds" in record for record in records):
            curve = quality_curve(records, final_psnr=images["psnr"])
            result |= {"cpu_seconds": curve[-1]["cpu_seconds"], "curve": curve}
        if look is not None:
            seen = scaled_views(run.model, views.cameras[views.indices("test")[:TIMED_VIEWS]], look)
            result["look_milliseconds"] = view_times(run.model, seen).frame
        whole = views.cropped_to_multiple(run.model.factor)
        grids = grids if run.model.factor > 1 else 1
        if grids > 1:
            on_grids = partial(run.render, grids=grids)
            result["grids_psnr"] = _mean_psnr(on_grids, whole, whole.indices("test"))
        if reference_views is not None:
            references = ReferenceViews(run.model, whole, count=reference_views, grids=grids)
            result["references_psnr"] = _mean_psnr(references.render, whole, whole.indices("test"))
        if autoencoder is not None:
            latents = test["latents"]["mean"]
            # Without an alignment, Latent Supervision ends where the fit does.
            after = after or {"test_psnr": images["psnr"], "test_latent_psnr": latents["psnr"]}
            result |= {
                "supervision_psnr": after["test_psnr"],
                "supervision_latent_psnr": after["test_latent_psnr"],
                "autoencoder_psnr": test["autoencoder"]["mean"]["psnr"],
                "factor": run.model.factor,
                "train_psnr": _train_psnr(run, views),
                "spread_ratio": latents["spread_ratio"],
                "detail_ratio": latents["detail_ratio"],
            }
        return result


def _train_psnr(run: Run, scene: Scene) -> float:
    """Mean PSNR of a few training views: how much better than test views they are is what the field memorised."""
    scene = scene.cropped_to_multiple(run.model.factor)
    return _mean_psnr(run.render, scene, evenly_spread(scene.indices("train"), TRAINING_VIEWS))


def _mean_psnr(render: Callable[[Cameras], Tensor], scene: Scene, views: Tensor) -> float:
    return float(psnr(render(scene.cameras[views]), scene.images(views), kept=scene.kept(views)).mean())


def quality_curve(records: Sequence[Record], *, final_psnr: float) -> list[dict[str, float]]:
    """Return the points {step, seconds, cpu_seconds, psnr} of a fit's log, oldest first; the last has `final_psnr`."""
    *before, last = records
    points = [record | {"psnr": record["test_psnr"]} for record in map(dict, before) if "test_psnr" in record]
    points.append(dict(last) | {"psnr": final_psnr})
    return [{key: point[key] for key in ("step", "seconds", "cpu_seconds", "psnr")} for point in points]


def fit_and_compare(
    *,
    scene: StudyScene,
    autoencoder: str | None,
    config: FitConfig,
    device: str,
    folder: Path,
    pictures: Path,
    factor: int,
    training_views: int | None,
    decoders: Sequence[tuple[str, str]] = (),
    divisor: int = 1,
    name: str = "image",
    **more: Any,
) -> dict[str, Any]:
    """Fit without alignment, and score the test views at full resolution by method; measure what the fit costs.

    All methods are compared on the same whole latents, of `factor` pixels. Fields are fitted to `training_views`,
    evenly chosen (None: all), as latents of `autoencoder`, or as images of 1 / `divisor` of the resolution. `decoders`
    are (role, name or folder) of autoencoders that share its encoder. `pictures` is the folder for the first test view
    by every method. There is `more` to tell `latentfields.fit`, such as a prior.

    Latents are normalised as `config` says; LRF's, by statistics of the scene's own training views (App. A.3). Methods
    are the roles of `decoders`; of images `image/D upsampled`, renderings of the fitted resolution with bicubic
    interpolation, and `image/D enlarged`, renderings of the full resolution, which is how LRF Table 1 has them; for the
    divisor 1, where there is no difference, `image/1`. `name` takes the place of `image` there.
    """
    views = scene.load(factor=factor, training_views=training_views)
    height, width = views.size
    small = views.resized(width=width // divisor, height=height // divisor)
    with _fitted(small, autoencoder, folder, config, device, **more) as (run, metrics, memory):
        test = views.indices("test")
        timed = small.cameras[test[:TIMED_TOGETHER]]

        def per_view(call: Callable[[], object]) -> float:
            return milliseconds([call], run.model.device)[0] / len(timed)

        result = {
            "seconds": metrics["training_seconds"],
            "bytes": (run.folder / MODEL_FILE).stat().st_size,
            "rendering_milliseconds": per_view(lambda: run.model.render_features(timed)),
            "memory": memory.mebibytes,
        }
        if (own := run.model.autoencoder) is None:
            renderings = _image_renderings(run, views, small, divisor=divisor, name=name)
        else:
            latents = run.model.render(views.cameras[test])[1].features.to(run.model.device)
            first = latents[:TIMED_TOGETHER]
            result["decoding_milliseconds"] = per_view(lambda: own.decode(first))
            result["latent_psnr"] = metrics["test"]["latents"]["mean"]["psnr"]
            renderings = {role: _decoded(name, latents, own) for role, name in decoders}
        return result | {"methods": _scored(renderings, views, pictures)}


def _decoded(name: str, latents: Tensor, own: Autoencoder) -> Tensor:
    """Images (N, 3, H, W) that a decoder makes of latents (N, C, h, w), normalised as those of `own`."""
    decoder = load_autoencoder(name).to(latents.device)
    decoder.set_statistics(own.statistics)
    return decoder.decode_batches(latents).cpu()


def _image_renderings(run: Run, scene: Scene, small: Scene, *, divisor: int, name: str) -> dict[str, Tensor]:
    """Test views (N, 3, H, W) at full resolution by method, of a field fitted to `small` images."""
    test = scene.indices("test")
    name, full = f"{name}/{divisor}", run.model.render(scene.cameras[test])[0]
    if divisor == 1:
        return {name: full}
    rendered = run.model.render(small.cameras[test])[0]
    upsampled = torch.nn.functional.interpolate(rendered, size=scene.size, mode="bicubic")
    return {f"{name} upsampled": upsampled.clamp(0, 1), f"{name} enlarged": full}


def _scored(renderings: Mapping[str, Tensor], scene: Scene, pictures: Path) -> dict[str, dict[str, float]]:
    """Mean image measures of the test views by method; the first of them, and its truth, become pictures."""
    measures, _ = image_measures()
    truth = scene.images(scene.indices("test"))
    for name, images in {"truth": truth, **renderings}.items():
        save_png(pictures / f"{name.replace('/', '-')}.png", to_pixels(images[0]))
    return {
        method: {name: float(measure(images, truth).double().mean()) for name, measure in measures.items()}
        for method, images in renderings.items()
    }


@contextmanager
def _fitted(
    scene: Scene, autoencoder: str | None, folder: Path, config: FitConfig, device: str, **more: Any
) -> Iterator[tuple[Run, Record, PeakMemory]]:
    """Fit the scene; yield the run, its metrics and its memory. The folder goes once the run was scored."""
    loaded = None if autoencoder is None else load_autoencoder(autoencoder)
    with peak_memory(choose_device(device)) as memory:
        run = fit(scene, loaded, out=folder, config=config, clock="cpu", device=device, **more)
    yield run, read_metrics(folder), memory
    shutil.rmtree(folder)


def _truth_and_rendering(run: Run, scene: Scene) -> Pixels:
    """(H, 2 W, 3) uint8: the first test view beside its rendering."""
    scene = scene.cropped_to_multiple(run.model.factor)
    index = scene.indices("test")[:1]
    pair: Pixels = to_pixels(torch.cat([scene.images(index), run.render(scene.cameras[index])], dim=-1))[0]
    return pair
