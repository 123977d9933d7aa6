"""The cells of the study of collections: objects fitted alone, together or later, timed and scored."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.scenes import StudyScene
from latentfields.fused_planes.collection import Collection
from latentfields.fused_planes.config import CollectionConfig, PhaseConfig
from latentfields.fused_planes.fit import add_to_collection, fit_collection
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.run import Run
from latentfields.measures.metrics import psnr, ssim
from latentfields.pages.pictures import save_png, to_pixels
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import byte_count
from latentfields.training.loop import LoopConfig, read_log

EVERY_STEP = LoopConfig(log_every=1, checkpoint_seconds=1e9)
"""A log from which the time of every step can be told."""


def pace_of_single(
    folder: Path, autoencoder: str | None, config: FitConfig, work: Path, *, steps: int, device: str
) -> dict[str, float]:
    """CPU seconds of a step of each stage of a fit, after as many steps that are not timed."""
    from latentfields.latent_nerf.build import new_model
    from latentfields.latent_nerf.feature_trainer import new_trainer
    from latentfields.process import choose_device
    from latentfields.training.loop import train

    scene, loaded = load_scene(folder), None
    if autoencoder is not None:
        loaded = load_autoencoder(autoencoder)
        scene = scene.cropped_to_multiple(loaded.factor)
    stages = {"supervision": 2 * steps, "alignment": 2 * steps if autoencoder is not None else 0}
    config = config.with_steps(**stages)
    model = new_model(scene, loaded, config).to(choose_device(device))
    trainer = new_trainer(model, scene, config)
    out = work / "single"
    shutil.rmtree(out, ignore_errors=True)
    train(trainer, steps=trainer.total_steps, folder=out, label="pace", options=EVERY_STEP)
    pace, begin = {}, 0
    for name, count in stages.items():
        if count:
            pace[name] = _seconds_per_step(out, begin, count)
            begin += count
    shutil.rmtree(out)
    return pace


def pace_of_collection(
    folders: Sequence[Path],
    autoencoder: str | None,
    config: CollectionConfig,
    work: Path,
    *,
    steps: int,
    device: str,
) -> dict[str, float]:
    """CPU seconds of a step of every phase, with whole batches, after as many steps that are not timed."""

    def short(phase: PhaseConfig) -> PhaseConfig:
        # An epoch of as many objects as a batch has is as many steps as there are batches of their views.
        per_epoch = len(load_scene(folders[0]).indices("train")) / phase.views_per_object
        objects = len(folders) / min(phase.objects_per_batch, len(folders))
        return replace(phase, epochs=2 * steps / (per_epoch * objects))

    config = replace(
        config,
        **{name: short(getattr(config, name)) for name in ("warmup", "joint", "latent", "align")},  # type: ignore[arg-type]
    )
    out = work / "collection"
    shutil.rmtree(out, ignore_errors=True)
    collection = fit_collection(
        folders, autoencoder=autoencoder, out=out, training=config, device=device, loop=EVERY_STEP
    )
    pace = {name: _of_phase(out / name) for name in ("warmup", "joint")}
    for name in collection.names():
        collection.remove(name)
    kept = work / "addition"
    shutil.rmtree(kept, ignore_errors=True)
    add_to_collection(collection, folders, training=config, device=device, loop=EVERY_STEP, logs=kept)
    pace |= {name: _of_phase(kept / name) for name in ("latent", "align")}
    shutil.rmtree(out)
    shutil.rmtree(kept)
    return pace


def _of_phase(folder: Path) -> float:
    return _seconds_per_step(folder, 0, len(read_log(folder)))


def _seconds_per_step(folder: Path, begin: int, count: int) -> float:
    """CPU seconds of a step in the second half of `count` steps that a log has from `begin` on."""
    seconds = [record["cpu_seconds"] for record in read_log(folder)]
    first, last = begin + (count - 1) // 2, begin + count - 1
    if first == last:
        return max(float(seconds[last] - (seconds[last - 1] if last else 0.0)), 1e-4)
    return max(float(seconds[last] - seconds[first]) / (last - first), 1e-4)


def fit_single(
    scene: StudyScene,
    autoencoder: str | None,
    config: FitConfig,
    folder: Path,
    *,
    picture: Path,
    device: str,
) -> dict[str, Any]:
    """Fit an object alone, and score it; its bytes are those that it cannot do without: no density grid, no cameras."""
    views = scene.load()
    loaded = None if autoencoder is None else load_autoencoder(autoencoder)
    run = fit(views, loaded, out=folder, config=config, device=device)
    own = {
        name: tensor for name, tensor in run.model.scene_state().items() if not name.startswith("sampler.")
    }
    size = byte_count(own)
    if run.model.autoencoder is not None and config.moves_decoder:
        size += sum(part.numel() * part.element_size() for part in run.model.autoencoder.decoder_parameters())
    result = {
        **_scored(run, views, picture),
        "cpu_seconds": read_log(run.folder)[-1]["cpu_seconds"],
        "bytes": size,
        "picture": f"pictures/{picture.name}",
    }
    shutil.rmtree(folder)
    return result


def fit_and_score_collection(
    scenes: Sequence[StudyScene],
    autoencoder: str | None,
    config: CollectionConfig,
    folder: Path,
    *,
    pictures: Path,
    device: str,
) -> dict[str, Any]:
    """Fit objects together, and score each of them."""
    collection = fit_collection(
        [scene.folder for scene in scenes],
        autoencoder=autoencoder,
        out=folder,
        training=config,
        device=device,
    )
    seconds = _cpu_seconds([folder / "warmup", folder / "joint"]) / len(scenes)
    scores = _object_scores(collection, scenes, pictures)
    result = {"objects": scores, "cpu_seconds": seconds, "shared_bytes": collection.shared_nbytes()}
    shutil.rmtree(folder)
    return result


def add_and_score(
    first: Sequence[StudyScene],
    later: Sequence[StudyScene],
    autoencoder: str | None,
    config: CollectionConfig,
    folder: Path,
    *,
    device: str,
) -> dict[str, Any]:
    """Fit some objects together, add the others to their collection, and score these."""
    collection = fit_collection(
        [scene.folder for scene in first], autoencoder=autoencoder, out=folder, training=config, device=device
    )
    logs = folder.with_name(f"{folder.name}-logs")
    collection = add_to_collection(
        collection, [scene.folder for scene in later], training=config, device=device, logs=logs
    )
    result = {
        "objects": _object_scores(collection, later, None),
        "cpu_seconds": _cpu_seconds([logs / "latent", logs / "align"]) / len(later),
        "shared_bytes": collection.shared_nbytes(),
    }
    shutil.rmtree(folder)
    shutil.rmtree(logs)
    return result


def _cpu_seconds(folders: Sequence[Path]) -> float:
    """CPU seconds of the phases whose logs are there, of all steps."""
    return float(sum(log[-1]["cpu_seconds"] for folder in folders if (log := read_log(folder))))


def _object_scores(
    collection: Collection, scenes: Sequence[StudyScene], pictures: Path | None
) -> dict[str, dict[str, Any]]:
    """Scores, bytes and, where they are wanted, the picture of every object."""
    found: dict[str, dict[str, Any]] = {}
    for scene in scenes:
        name = scene.folder.name
        picture = None if pictures is None else pictures / f"{name}.png"
        shown = {} if pictures is None else {"picture": f"pictures/{pictures.name}/{name}.png"}
        found[scene.name] = {
            **_scored(collection.run(name), scene.load(), picture),
            "bytes": collection.nbytes(name),
            **shown,
        }
    return found


def _scored(run: Run, scene: Scene, picture: Path | None) -> dict[str, float]:
    """Mean measures of the test views; the first of them and its truth become a picture."""
    scene = scene.cropped_to_multiple(run.model.factor)
    test = scene.indices("test")
    truth = scene.images(test)
    images: Tensor = run.render(scene.cameras[test])
    if picture is not None:
        pair = to_pixels(torch.cat([truth[:1], images[:1]], dim=-1))
        save_png(picture, pair[0])
    return {"psnr": float(psnr(images, truth).mean()), "ssim": float(ssim(images, truth).mean())}
