"""`fit_collection` and `add_to_collection`: from scenes to objects that share what is common. Both resume."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder, located
from latentfields.config.arguments import checked
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.files import Folders, as_folders, is_temporary, read_json, temporary_folder, write_json
from latentfields.fused_planes.collection import (
    DECODER_FILE,
    VIEWS_FILE,
    Collection,
    new_shared,
    write_autoencoder,
    write_shared,
)
from latentfields.fused_planes.config import (
    SMALL,
    AdditionRunConfig,
    CollectionConfig,
    CollectionRunConfig,
    PhaseConfig,
)
from latentfields.fused_planes.objects import (
    Beginning,
    CollectionObject,
    ObjectHeader,
    object_path,
    write_object,
)
from latentfields.fused_planes.page import Pictured, write_page
from latentfields.fused_planes.shared import SharedModel
from latentfields.fused_planes.store import ObjectStore
from latentfields.fused_planes.trainer import PhaseTrainer, Training
from latentfields.igae.image_cache import CachedViews, cache_scenes, square_scene
from latentfields.igae.pretrain import cache_latents, open_latents
from latentfields.latent_nerf.build import SceneFrame
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.places import ScenePlaces
from latentfields.latent_nerf.portable import write_views
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.latent_nerf.shared_decoder import SharedDecoder
from latentfields.measures.metrics import psnr
from latentfields.process import choose_device
from latentfields.scenes.load import scene_folders
from latentfields.scenes.reading import WHITE
from latentfields.scenes.selection import evenly_spread
from latentfields.training.distributed import Processes, joined_processes, local_device
from latentfields.training.loop import LoopConfig, log_path, read_log
from latentfields.training.recipe import METRICS_FILE, begin, write_metrics
from latentfields.training.runs import is_claimed

WORK_FOLDER, ADDITIONS_FOLDER = "work", "additions"
STATISTICS_VIEWS = 256
"""Training views that latent statistics are measured on, where the autoencoder has none."""
MEAN_OBJECTS = 256
"""Objects of a collection, evenly spread by name, whose mean added ones begin as."""
_FRAMES_FILE, _LATENTS_FILE, _OBJECTS_FILE = "frames.json", "latents.f16", "objects.f32"
_BEGINNING_FILE = "beginning.safetensors"


@dataclass(frozen=True)
class _Frames:
    """What is known of every scene beside its views, in the order of the cache's scenes."""

    objects: tuple[ObjectHeader, ...]


@checked
def fit_collection(
    scenes: Folders,
    *,
    autoencoder: Autoencoder | str | Path | None = "base",
    out: str | Path,
    training: CollectionConfig | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
    command: str | None = None,
    loop: LoopConfig | None = None,
) -> Collection:
    """Fit objects that share base planes, an MLP and an autoencoder, and return the collection in the folder `out`.

    `scenes` are scenes or folders of them: square views of objects, on white where they have alpha; an object is called
    after its scene's folder. `autoencoder` is the one to start from; None fits colours. `training` is the preset SMALL
    by default. Views are decoded once into `cache` (default: a folder in `out`, deleted at the end). `device` is as for
    `fit`. `command` is shown on the page as what repeats the run.

    Run again after an interruption, it continues. Objects are on disk while they are trained: memory holds those of one
    batch. Started by torchrun, all processes share the objects of each batch; more of them than objects in a batch are
    of no use. Raises InputError for unusable settings or scenes, and when `out` holds a run with other settings.
    """
    training, out = training or SMALL, Path(out)
    training.check()
    target = local_device(device)
    given = load_autoencoder(autoencoder) if isinstance(autoencoder, str | Path) else autoencoder
    name = None
    if given is not None:
        given = given.clone()
        name = located(str(autoencoder)) if isinstance(autoencoder, str | Path) else given.name
        _require_size(training, given)
    run = CollectionRunConfig(scenes=as_folders(scenes), autoencoder=name, training=training)
    work = out / WORK_FOLDER
    with joined_processes(target) as processes, ExitStack() as begun:
        if processes.first:
            frames = begun.enter_context(
                begin(run, out, lambda: None if is_claimed(out) else read_frames(run.scenes, training, out))
            )
            if not (out / METRICS_FILE).is_file():
                _kept_frames(work, frames, run.scenes, training, out)
        processes.wait()
        if not (out / METRICS_FILE).is_file():
            _fit(
                run,
                _kept_frames(work, None, run.scenes, training, out),
                given,
                out,
                cache=Path(cache or work / "cache"),
                device=target,
                processes=processes,
                command=command,
                loop=loop,
            )
        if processes.first:
            for folder in (work, *(out / phase / "state" for phase in ("warmup", "joint"))):
                shutil.rmtree(folder, ignore_errors=True)
        processes.wait()
        return Collection.open(out, device=str(target))


@checked
def add_to_collection(
    collection: Collection | str | Path,
    scenes: Folders,
    *,
    training: CollectionConfig | None = None,
    logs: str | Path | None = None,
    device: str = "auto",
    loop: LoopConfig | None = None,
) -> Collection:
    """Fit further objects to what a collection's objects share, add them, and return the collection.

    `training` has the phases `latent` and `align`, and says whether shared parts stay (`shared`); its sizes have to be
    the collection's, which are the default, as are its phases. With frozen parts no file of an earlier object changes,
    nor what it looks like. `logs` is a folder for the logs of both phases, which are not kept by default. `scenes` and
    `device` are as for `fit_collection`; run again after an interruption, it continues. Raises InputError for unusable
    settings or scenes, and for objects that the collection has already.
    """
    if not isinstance(collection, Collection):
        collection = Collection.open(collection, device=device)
    folder, own = collection.folder, collection.training
    training = training or own
    training.check()
    for name in ("size", "planes"):
        if getattr(training, name) != getattr(own, name):
            raise ArgumentError(name, f"is not that of {folder}, whose objects all have one; leave it out")
    run = AdditionRunConfig(scenes=as_folders(scenes), training=training)
    key = _addition_key(run)
    target, out = choose_device(device), folder / ADDITIONS_FOLDER / key
    _remove_ended(out.parent)
    if not is_claimed(out) and _is_added(collection, run, key):
        return collection

    def prepared() -> _Frames | None:
        if is_claimed(out):
            return None
        frames = read_frames(run.scenes, training, folder, addition=key)
        for header in frames.objects:
            if header.name in collection:
                raise InputError(
                    folder,
                    f"has an object '{header.name}' already; remove it first, or rename the scene's folder",
                )
        return frames

    with begin(run, out, prepared) as frames:
        known = _kept_frames(out / WORK_FOLDER, frames, run.scenes, training, folder, addition=key)
        _add(collection, run, known, out, device=target, loop=loop)
        if logs is not None:
            _keep_logs(out, Path(logs))
    # In one step: of a run that is gone on with, everything is there.
    os.replace(out, temporary_folder(out))
    _remove_ended(out.parent)
    return Collection.open(folder, device=device)


def read_frames(
    scenes: Sequence[Path], training: CollectionConfig, collection: Path, *, addition: str = ""
) -> _Frames:
    """What is known of all scenes, each of which was read. Raises InputError for scenes of no use."""
    if not scenes:
        raise ArgumentError("scenes", "name at least one scene, or folder of scenes")
    found: dict[str, ObjectHeader] = {}
    for folder in scene_folders(scenes):
        scene = square_scene(folder, size=training.size, background=WHITE)
        scene.indices("train"), scene.indices("test")
        name = folder.resolve().name
        object_path(collection, name)
        if name in found:
            raise ArgumentError("scenes", f"{folder} has the same name as {found[name].scene}")
        found[name] = ObjectHeader(
            name=name,
            scene=folder,
            places=ScenePlaces.of(folder, collection),
            frame=replace(SceneFrame.of(scene), learn_background=False),
            addition=addition,
        )
    return _Frames(tuple(found.values()))


def _require_size(training: CollectionConfig, autoencoder: Autoencoder) -> None:
    if training.size % autoencoder.factor:
        raise ArgumentError(
            "size", f"is {training.size}; expected a multiple of the factor {autoencoder.factor}"
        )


def _kept_frames(
    work: Path,
    frames: _Frames | None,
    scenes: Sequence[Path],
    training: CollectionConfig,
    collection: Path,
    *,
    addition: str = "",
) -> _Frames:
    """The frames that the run began with."""
    path = work / _FRAMES_FILE
    if path.is_file():
        return from_json(_Frames, read_json(path), source=path)
    frames = frames or read_frames(scenes, training, collection, addition=addition)
    write_json(path, to_json(frames))
    return frames


def _views(frames: _Frames, training: CollectionConfig, cache: Path) -> CachedViews:
    """The views of all objects, in the order of `frames`."""
    grid = training.planes.sampling.grid_resolution
    folders = [header.scene for header in frames.objects]
    return cache_scenes(folders, size=training.size, background=WHITE, grid_resolution=grid, cache=cache)


def _new_training(
    config: CollectionConfig,
    views: CachedViews,
    shared: SharedModel,
    autoencoder: Autoencoder | None,
    work: Path,
    *,
    seed: int,
    device: torch.device,
    beginning: Beginning | None = None,
    processes: Processes = Processes(),  # noqa: B008 - a frozen dataclass
) -> Training:
    store = ObjectStore(
        work / _OBJECTS_FILE,
        views.hulls,
        config.planes,
        seed=seed,
        beginning=beginning,
        device=device,
        processes=processes,
    )
    return Training(config, views, shared.to(device), store, autoencoder)


def _train_phases(
    training: Training, phases: dict[str, PhaseConfig], out: Path, work: Path, loop: LoopConfig
) -> dict[str, dict[str, Any]]:
    """Train the phases that have any epochs, one after the other; return what each of them took."""
    latents, processes = None, training.processes
    if training.autoencoder is not None:
        if processes.first:
            cache_latents(training.autoencoder, training.views, work / _LATENTS_FILE)
        processes.wait()
        latents = open_latents(training.autoencoder, training.views, work / _LATENTS_FILE)
    took: dict[str, dict[str, Any]] = {}
    for number, (name, phase) in enumerate(phases.items(), 1):
        if phase.epochs:
            trainer = PhaseTrainer(training, phase, number=number, latents=latents)
            processes.train(trainer, steps=trainer.total_steps, folder=out / name, label=name, options=loop)
            if not processes.first:
                continue
            last = read_log(out / name)[-1]
            took[name] = {
                "steps": last["step"],
                "training_seconds": last["seconds"],
                "cpu_seconds": last.get("cpu_seconds", last["seconds"]),
            }
    return took


def _fit(
    run: CollectionRunConfig,
    frames: _Frames,
    autoencoder: Autoencoder | None,
    out: Path,
    *,
    cache: Path,
    device: torch.device,
    processes: Processes,
    command: str | None,
    loop: LoopConfig | None,
) -> None:
    """Train both phases, and let the first process write the collection."""
    config, work = run.training, out / WORK_FOLDER
    for turn in (True, False):  # The first process fills the cache, the others find it filled.
        if processes.first == turn:
            views = _views(frames, config, cache)
        processes.wait()
    decoder = None
    if autoencoder is not None:
        autoencoder.to(device).ensure_statistics(lambda: views.images(_some_views(views)).to(device))
        if not config.moves_autoencoder:
            decoder = SharedDecoder.of(autoencoder, FitConfig(alignment_kind="none"))
        with torch.no_grad():
            background = autoencoder.background_latent(WHITE).cpu()
    else:
        background = torch.tensor(WHITE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        shared = new_shared(config, background, latent=autoencoder is not None)
    training = _new_training(
        config, views, shared, autoencoder, work, seed=config.seed, device=device, processes=processes
    )
    with closing(training.store):
        phases = _train_phases(
            training, {"warmup": config.warmup, "joint": config.joint}, out, work, loop or LoopConfig()
        )
        if not processes.first:
            return
        pictured, scores = _scores(training)
        for index, header in enumerate(frames.objects):
            write_object(out, _trained(training, index, header))
    if autoencoder is not None:
        write_autoencoder(out, autoencoder.cpu(), decoder)
    write_shared(out, shared.cpu())
    first = square_scene(frames.objects[0].scene, size=config.size, background=WHITE)
    write_views(out / VIEWS_FILE, SceneCameras.of(first))
    seconds = sum(phase["training_seconds"] for phase in phases.values())
    measured = {"held_out_psnr": _mean(scores), "objects": scores, "phases": phases}
    write_page(out, run, pictured, measured, command=command)
    # Last: with it, the collection is finished.
    write_metrics(out, measured, seconds=seconds, device=device)


def _add(
    collection: Collection,
    run: AdditionRunConfig,
    frames: _Frames,
    out: Path,
    *,
    device: torch.device,
    loop: LoopConfig | None,
) -> None:
    """Train both phases of the new objects, and write them into the collection."""
    config, work = run.training, out / WORK_FOLDER
    views = _views(frames, config, work / "cache")
    frozen = config.shared == "frozen"
    phases = {
        name: phase.with_frozen_parts() if frozen else phase
        for name, phase in (("latent", config.latent), ("align", config.align))
    }
    # Of its own: the collection in memory stays as it was read.
    autoencoder = None if collection.autoencoder is None else collection.autoencoder.clone().to(device)
    channels = 3 if autoencoder is None else autoencoder.channels
    shared = new_shared(config, torch.zeros(channels), latent=autoencoder is not None)
    shared.load_state_dict(collection.shared.state_dict())
    # Objects of several additions do not begin alike.
    seed = config.seed + int(out.name, 16) % 2**31
    beginning = _beginning(collection, work) if config.start == "mean" else None
    training = _new_training(
        config, views, shared, autoencoder, work, seed=seed, device=device, beginning=beginning
    )
    with closing(training.store):
        _train_phases(training, phases, out, work, loop or LoopConfig())
        if not frozen:
            moved = any(phase.moves_autoencoder for phase in phases.values())
            if autoencoder is not None and moved:
                write_autoencoder(collection.folder, autoencoder.cpu(), None)
                # A name would be that of another autoencoder now.
                (collection.folder / DECODER_FILE).unlink(missing_ok=True)
                autoencoder.to(device)
            write_shared(collection.folder, training.shared)
        for index, header in enumerate(frames.objects):
            collection.add(_trained(training, index, header))


def _beginning(collection: Collection, work: Path) -> Beginning | None:
    """The mean of a collection's objects as they were when the addition began; None where there were none."""
    path = work / _BEGINNING_FILE
    if path.is_file():
        return Beginning.load(path)
    names = collection.names()
    if not names:
        return None
    chosen = evenly_spread(torch.arange(len(names)), MEAN_OBJECTS).tolist()
    beginning = Beginning.mean(collection.object(names[index]) for index in chosen)
    beginning.save(path)
    return beginning


def _trained(training: Training, index: int, header: ObjectHeader) -> CollectionObject:
    """An object as its training left it."""
    (item,) = training.store.fetch([index])
    return CollectionObject(
        header=header,
        micro=item.micro.detach().cpu(),
        weights=item.weights.detach().cpu(),
        bias=item.bias.detach().cpu(),
        hull=training.views.hulls[index],
    )


def _some_views(views: CachedViews) -> Tensor:
    train_views = torch.cat(views.train)
    return train_views[evenly_spread(torch.arange(len(train_views)), STATISTICS_VIEWS)]


PICTURED = 8
"""Objects on the page, evenly spread."""


def _scores(training: Training) -> tuple[list[Pictured], dict[str, float]]:
    """PSNR in dB of every object's held-out views, by its name; and pictures of some."""
    views, scores, pictured = training.views, {}, []
    shown = set(evenly_spread(torch.arange(len(views)), PICTURED).tolist())
    for index, name in enumerate(views.names):
        truth = views.images(views.held_out[index])
        decoded = training.render_views(index, views.held_out[index])
        scores[name] = float(psnr(decoded, truth).mean())
        if index in shown:
            pictured.append(Pictured(name, truth, decoded))
    return pictured, scores


def _mean(scores: dict[str, float]) -> float:
    return sum(scores.values()) / len(scores)


def _keep_logs(out: Path, logs: Path) -> None:
    """Copy the logs of the phases of an addition."""
    for phase in ("latent", "align"):
        if log_path(out / phase).is_file():
            (logs / phase).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log_path(out / phase), log_path(logs / phase))


def _remove_ended(additions: Path) -> None:
    """Remove what ended additions left, and the folder of additions where nothing else is in it."""
    for path in additions.iterdir() if additions.is_dir() else ():
        if is_temporary(path):
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        additions.rmdir()


def _addition_key(run: AdditionRunConfig) -> str:
    """A name for a run that adds objects: the same command goes on with the same run."""
    about = json.dumps([to_json(run.training), [str(path.resolve()) for path in run.scenes]])
    return hashlib.sha256(about.encode()).hexdigest()[:16]


def _is_added(collection: Collection, run: AdditionRunConfig, key: str) -> bool:
    """True when this very run has ended, and its objects are there."""
    names = [folder.resolve().name for folder in scene_folders(run.scenes)]
    return all(name in collection and collection.object(name).header.addition == key for name in names)
