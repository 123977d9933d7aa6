"""`align_decoder`: one decoder for the latent fields of many scenes (LRF Sec. 4.3), resumable scene by scene.

config.json     what was computed
fits/           the latent field that is being fitted; deleted when its pairs are written
pairs/          rendered latents and images of every scene (`pairs`)
log.jsonl       losses while the decoder is trained
state/          checkpoint for resuming
metrics.json    scores on the pairs, before and after
autoencoder/    the result: the encoder as it was, the decoder aligned
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.image_data import TrainingImages, load_training_images
from latentfields.autoencoders.load import called, opened
from latentfields.config.arguments import checked
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError
from latentfields.files import Folders, as_folders
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import require_large_enough
from latentfields.latent_nerf.presets import PresetName
from latentfields.lrf.decoder.config import (
    PRESETS,
    DecoderRunConfig,
    DecoderTrainingConfig,
    latent_field_config,
)
from latentfields.lrf.decoder.pairs import Pairs, fit_latent_field, novel_views, score_pairs, write_pairs
from latentfields.lrf.decoder.trainer import DecoderAlignment
from latentfields.process import choose_device
from latentfields.scenes.load import Scenes, as_scene_folders, load_scene, scene_folders
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread
from latentfields.training.jobs import Job, local_engine, raise_first, run_jobs
from latentfields.training.loop import LoopConfig, train
from latentfields.training.recipe import begin, finish
from latentfields.training.runs import is_claimed
from latentfields.training.workers import Engine

STATISTICS_VIEWS = 8
"""Training views of every scene that latent statistics are measured on, where the autoencoder has none."""


@checked
def align_decoder(
    training: DecoderTrainingConfig | PresetName = "small",
    *,
    scenes: Scenes,
    autoencoder: Autoencoder | str | Path = "base",
    photos: Folders = (),
    fit: FitConfig | None = None,
    other_fits: Sequence[FitConfig] = (),
    size: int | None = None,
    out: str | Path,
    device: str = "auto",
    processes: int = 1,
    engine: Engine | None = None,
    loop: LoopConfig | None = None,
) -> Autoencoder:
    """Fit a latent field to every scene, render the pairs, and train the decoder on all of them (Eq. 11).

    `training` is a configuration, or the name of a preset. `scenes` are scenes or folders of them, of scenes in
    memory their folders, whose images are resized to a longer side of `size` pixels if that is given; `fit` says
    how fields are fitted (by default Gaussians, by the preset of the same name), `other_fits` what else is fitted
    to every scene, such as other fields. So many `processes` work at a time: of several, each uses another GPU
    where there are some and `device` is auto. An `engine` fits them instead, such as a `RayCluster`; the decoder is
    trained here. `photos` are folders of photographs that the decoder is to go on decoding as before.
    Returns the autoencoder, on the CPU, that `out/autoencoder` holds: only its decoder differs from `autoencoder`, one
    in memory, a name or a folder. Training and novel views are defined in `pairs`. Run again after an interruption, it
    continues. `device` is as for `fit`.
    Raises InputError for unusable scenes or options, or when `out` holds a run with other settings.
    """
    out = Path(out)
    run = DecoderRunConfig(
        scenes=as_scene_folders(scenes),
        autoencoder=called(autoencoder),
        size=size,
        fit=fit or latent_field_config("gaussians", training if isinstance(training, str) else "small"),
        training=PRESETS[training] if isinstance(training, str) else training,
        photos=as_folders(photos),
        other_fits=tuple(other_fits),
    )
    run.check()
    require_at_least("processes", processes, 1)
    target = choose_device(device)
    engine = engine or local_engine(processes, device)
    engine.require_device(device)
    model = opened(autoencoder)
    if run.training.crop < model.factor:
        raise ArgumentError(
            "training.crop", f"is {run.training.crop}; expected at least the factor {model.factor}"
        )
    with begin(run, out, lambda: _prepared(run, model, first=not is_claimed(out))) as folders:
        paths = _written_pairs(folders, run, model, out=out, device=device, engine=engine)
        model = model.to(target)
        pairs = Pairs(paths, factor=model.factor, crop=run.training.crop)
        trainer = DecoderAlignment(
            model, pairs, run.training, photos=_photos(run, size=model.factor * pairs.cells)
        )
        seconds = train(
            trainer, steps=run.training.steps, folder=out, label="decoder", options=loop or LoopConfig()
        )
        measured = {
            "scenes": len(paths) // len(run.fits),
            "training_views": len(pairs.training),
            "novel_views": len(pairs.novel),
            "before": score_pairs(trainer.original, pairs),
            "after": score_pairs(model, pairs),
        }
        return finish(out, model.cpu(), measured, seconds=seconds, device=target)


def _prepared(run: DecoderRunConfig, autoencoder: Autoencoder, *, first: bool) -> Sequence[Path]:
    """The folders of all scenes, which can be used; the autoencoder gets statistics where it has none.

    At the `first` start photographs are read, too. Raises InputError for scenes and photographs of no use.
    """
    folders = scene_folders(run.scenes)
    latents = []
    for folder in folders:
        scene = _scene(folder, autoencoder, run)
        novel_views(scene)
        training = scene.indices("train")
        require_large_enough(scene)
        if not autoencoder.has_statistics:
            views = scene.images(evenly_spread(training, STATISTICS_VIEWS))
            latents.append(autoencoder.encode_batches(views))
    if latents:
        autoencoder.set_statistics(LatentStatistics.of(*latents))
    if first:
        _photos(run, size=run.training.crop)
    return folders


def _scene(folder: Path, autoencoder: Autoencoder, run: DecoderRunConfig) -> Scene:
    return load_scene(folder, max_size=run.size).cropped_to_multiple(autoencoder.factor)


def _photos(run: DecoderRunConfig, *, size: int) -> TrainingImages | None:
    """The photographs that are large enough, if any were asked for."""
    return load_training_images(run.photos, (), size=size) if run.photos else None


@dataclass(frozen=True)
class PairsJob:
    """A latent field that is fitted to a scene."""

    folder: Path
    """Folder of the scene."""
    run: DecoderRunConfig
    fit: FitConfig
    """The one of the run's fits that is made."""
    autoencoder: Autoencoder
    """With statistics, on the CPU."""
    device: str
    work: Path
    """Folder of the fit."""
    path: Path
    """File for the pairs."""


def fit_pairs(job: PairsJob) -> None:
    """Fit a latent field to a scene and write its pairs."""
    autoencoder = job.autoencoder.clone()
    scene = _scene(job.folder, autoencoder, job.run)
    run = fit_latent_field(scene, autoencoder, out=job.work, config=job.fit, device=job.device)
    device = choose_device(job.device)
    run.model.to(device)
    write_pairs(job.path, run, scene, autoencoder.to(device))
    shutil.rmtree(run.folder)


def _written_pairs(
    folders: Sequence[Path],
    run: DecoderRunConfig,
    autoencoder: Autoencoder,
    *,
    out: Path,
    device: str,
    engine: Engine,
) -> list[Path]:
    """Files of the pairs of all scenes, made unless they are there."""
    jobs = []
    for (number, folder), (place, fit) in product(enumerate(folders), enumerate(run.fits)):
        name = f"{number:04d}-{folder.resolve().name}" + (f"-{place}" if place else "")
        path = out / "pairs" / f"{name}.safetensors"
        details = PairsJob(folder, run, fit, autoencoder, device, work=out / "fits" / name, path=path)
        jobs.append(Job(name, fit_pairs, details))
    missing = [job for job in jobs if not job.arguments.path.is_file()]
    failures = run_jobs(
        missing,
        engine=engine,
        label="latent fields",
        finished=len(jobs) - len(missing),
    )
    raise_first(failures)
    shutil.rmtree(out / "fits", ignore_errors=True)
    return [job.arguments.path for job in jobs]
