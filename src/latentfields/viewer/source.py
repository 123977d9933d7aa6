"""Sources of the viewer: a finished run (a folder or one file), a scene in training, IG-AE's latent scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.load import load_autoencoder
from latentfields.cameras import Cameras
from latentfields.config.typed_json import from_json
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json
from latentfields.fused_planes.collection import Collection
from latentfields.generation.trainer import SceneDistillation
from latentfields.igae.config import IgaeRunConfig
from latentfields.igae.data import cached_views
from latentfields.igae.finetune import JOINT, PRETRAINING, START_STATISTICS_FILE
from latentfields.igae.scene_training import SceneTraining
from latentfields.latent_nerf.looking import Look
from latentfields.latent_nerf.render import load_run_scene
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.pages.pictures import LatentProjection
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.reading import Bounds
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread
from latentfields.training.checkpoint import load_tensors, without_prefix
from latentfields.training.loop import checkpoint_path
from latentfields.training.runs import read_run, run_kind
from latentfields.viewer.frames import ViewedScene
from latentfields.viewer.gate import Gate, OpenGate, TrainingGate

PROJECTION_VIEWS = 16
"""Training views that principal components are computed from."""


WatchedTrainer = LatentNerfTrainer | SceneDistillation
"""Trainings of one scene, which can be looked at between two steps."""


@dataclass(frozen=True)
class Source:
    """Scenes to choose from."""

    title: str
    """What the browser shows as the name."""
    folder: Path
    """Folder of the run, where camera paths and films go."""
    scenes: Sequence[ViewedScene]
    """At least one."""
    gate: Gate
    """When they may be rendered."""


class FittedScene:
    """A scene and the model that is, or will be, fitted to it; a `ViewedScene`."""

    def __init__(self, model: SceneModel, views: SceneCameras, *, name: str, scene: Scene | None) -> None:
        """`views` are those of `scene`, whose sides are multiples of the model's factor; None: pictures are missing."""
        self.model, self.scene, self.name = model, scene, name
        self._look = Look(model)
        self.factor, self.bounds = model.factor, model.bounds
        self.channels = None if model.autoencoder is None else model.autoencoder.channels
        self._train = views.splits["train"]
        self.cameras = views.training_cameras
        self.view_names = [views.names[int(index)] for index in self._train]

    @classmethod
    def of(cls, model: SceneModel, scene: Scene) -> FittedScene:
        """A scene with its pictures."""
        return cls(model, SceneCameras.of(scene), name=scene.name, scene=scene)

    @property
    def has_images(self) -> bool:
        """True when there are pictures of the training views."""
        return self.scene is not None

    def images(self, indices: Tensor) -> Tensor:
        """Training views (B, 3, H, W) in [0, 1]."""
        assert self.scene is not None
        return self.scene.images(self._train[indices])

    def render(self, cameras: Cameras) -> tuple[Tensor, Rendering]:
        """As `Look`."""
        return self._look(cameras)

    @property
    def has_colors(self) -> bool:
        """True when the scene has colours beside latents."""
        return self.model.pictures is not self.model

    def render_colors(self, cameras: Cameras) -> tuple[Tensor, Rendering]:
        """As `SceneModel.render`, of the colours."""
        return self.model.pictures.render(cameras)

    @torch.no_grad()
    def geometry(self, cameras: Cameras) -> Rendering:
        """Depth and opacity of every pixel."""
        return self.model.pictures.render_pixels(cameras.to(self.model.device), None).cpu()

    @cached_property
    def projection(self) -> LatentProjection:
        """Principal components of a few training views: encoded, or rendered where there are no pictures."""
        some = evenly_spread(torch.arange(len(self.cameras)), PROJECTION_VIEWS)
        if not self.has_images:
            return LatentProjection.fit(self.render(self.cameras[some])[1].features)
        return LatentProjection.fit(self.model.encode(self.images(some)))


class LatentScene:
    """One latent scene of an IG-AE training; a `ViewedScene`."""

    has_images, has_colors = True, False
    bounds: Bounds = "object"

    def __init__(self, training: SceneTraining, autoencoder: Autoencoder, index: int) -> None:
        """Scene `index` of `training`, decoded by `autoencoder`, both on one device."""
        self.training, self.autoencoder, self.index = training, autoencoder, index
        views = training.views
        self.name, self.factor, self.channels = views.names[index], autoencoder.factor, autoencoder.channels
        self.cameras = views.cameras[views.train[index]]
        self.view_names = [f"view {number}" for number in range(len(self.cameras))]

    def images(self, indices: Tensor) -> Tensor:
        """Training views (B, 3, H, W) in [0, 1]."""
        return self.training.views.images(self.training.views.train[self.index][indices])

    @torch.no_grad()
    def render(self, cameras: Cameras) -> tuple[Tensor, Rendering]:
        """As `SceneModel.render`, over the code of white that the scenes were trained over."""
        training = self.training
        (active,) = training.scenes.fetch([self.index])
        grid = cameras.resized(width=cameras.width // self.factor, height=cameras.height // self.factor)
        seen = training.render_scene(active, grid, generator=None)
        return self.autoencoder.decode_batches(seen.features).cpu(), seen.cpu()

    render_colors = render

    @torch.no_grad()
    def geometry(self, cameras: Cameras) -> Rendering:
        """Depth and opacity of every pixel."""
        (active,) = self.training.scenes.fetch([self.index])
        return self.training.render_scene(active, cameras, generator=None).cpu()

    @cached_property
    def projection(self) -> LatentProjection:
        """Principal components of a few encoded training views."""
        some = evenly_spread(torch.arange(len(self.cameras)), PROJECTION_VIEWS)
        images = self.images(some).to(self.training.device)
        return LatentProjection.fit(self.autoencoder.encode_batches(images))


def open_source(path: Path, *, scene: Path | None, cache: Path | None, device: torch.device) -> Source:
    """The run in the folder `path`: one that `fit` wrote, or one of `autoencoder finetune-3d`; or a scene file.

    `scene` says where the scene of a fit is now; a scene file does without, and without its pictures. `cache` is where
    the decoded images of a `finetune-3d` are, if not in its folder. Raises InputError when `path` is none of these, or
    when what it was made from is gone.
    """
    if _has_latent_scenes(path):
        if scene is not None:
            raise ArgumentError(
                "scene", f"is of no use for {path}, which has several; move them back instead"
            )
        return _open_latent_scenes(path, cache or path / "cache", device)
    if cache is not None:
        raise ArgumentError("cache", f"is of no use for {path}; only finetune-3d decodes images in advance")
    run = Run.load(path)
    run.model.to(device)
    if run.views is not None and scene is None:
        fitted = FittedScene(run.model, run.views, name=run.config.name, scene=None)
    else:
        fitted = FittedScene.of(run.model, load_run_scene(run, scene))
    return Source(f"{fitted.name} ({run.config.fit.field.kind})", run.home, (fitted,), OpenGate())


def collection_source(
    collection: Collection,
    name: str,
    *,
    nearest: int = 7,
    between: str | None = None,
    steps: int = 3,
    scene: Path | None = None,
) -> Source:
    """An object of a collection, the `nearest` ones by their weights, and `steps` objects on the way to `between`.

    `scene` says where the object's scene is now. Objects whose scenes are gone, and those between two, have no pictures
    and are seen from the collection's cameras. Raises InputError when there are no such objects.
    """
    others = [other for other, _ in collection.nearest(name, count=nearest)] if nearest else []
    scenes = [
        _object_scene(collection.run(one), one, scene if one == name else None) for one in (name, *others)
    ]
    if between is not None:
        for step in range(1, steps + 1):
            share = step / (steps + 1)
            mixed = collection.between(name, between, share)
            title = f"{share:.0%} of the way to {between}"
            scenes.append(FittedScene(mixed.model, collection.views(), name=title, scene=None))
    return Source(f"{name} ({collection.folder.name})", collection.folder, scenes, OpenGate())


def _object_scene(run: Run, name: str, scene: Path | None) -> FittedScene:
    """An object of a collection, with its pictures where they are."""
    if run.views is not None and scene is None:
        return FittedScene(run.model, run.views, name=name, scene=None)
    return FittedScene.of(run.model, load_run_scene(run, scene))


def _has_latent_scenes(path: Path) -> bool:
    """True when `path` is a run of finetune-3d."""
    return run_kind(path) == IgaeRunConfig.kind


def training_source(trainer: WatchedTrainer, gate: TrainingGate, folder: Path) -> Source:
    """The scene that `trainer` fits or generates, through the `gate` that does its steps."""
    if isinstance(trainer, LatentNerfTrainer):
        fitted = FittedScene.of(trainer.model, trainer.scene)
    else:
        fitted = FittedScene(trainer.model, trainer.views, name=trainer.name, scene=None)
    return Source(f"{fitted.name} ({trainer.config.field.kind}, training)", folder, (fitted,), gate)


def _open_latent_scenes(folder: Path, cache: Path, device: torch.device) -> Source:
    run = read_run(IgaeRunConfig, folder)
    config = run.training
    if not config.has_3d:
        raise InputError(
            folder, "was trained without latent scenes (ablation no-3d); there is nothing to view"
        )
    autoencoder = load_autoencoder(run.autoencoder)
    if not autoencoder.has_statistics:
        file = folder / START_STATISTICS_FILE
        autoencoder.set_statistics(from_json(LatentStatistics, read_json(file), source=file))
    autoencoder.to(device)
    training = SceneTraining(config, cached_views(config, run.scenes, cache), autoencoder, device=device)
    tensors = _latest_scenes(folder)
    autoencoder.load_state_dict(without_prefix("autoencoder", tensors) or autoencoder.state_dict())
    training.restore_scenes(tensors)
    scenes = [LatentScene(training, autoencoder, index) for index in range(len(training.views))]
    return Source(f"{len(scenes)} latent scenes", folder, scenes, OpenGate())


def _latest_scenes(folder: Path) -> dict[str, Tensor]:
    """The last checkpoint of the phase that was last begun; that of the joint phase has the autoencoder, too."""
    for phase in (JOINT, PRETRAINING):
        if checkpoint_path(folder / phase).is_file():
            return load_tensors(checkpoint_path(folder / phase))[0]
    raise InputError(folder, "has no checkpoint yet; wait until the training has written one")
