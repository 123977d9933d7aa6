"""Autoencoders of the benchmark that were not given: trained here, all in the same way but for what is left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latentfields.bench.cells import Cell
from latentfields.igae.config import Ablation, IgaeConfig
from latentfields.igae.finetune import finetune_3d
from latentfields.scenes.object_scenes import render_object_scene
from latentfields.scenes.procedural import TRAIN_FAMILIES, generate_object
from latentfields.scenes.procedural.painting import POTTERY, painted
from latentfields.scenes.render_options import RenderOptions
from latentfields.training.loop import LoopOptions

ABLATIONS: dict[str, Ablation] = {"igae": "none", "no-3d": "no-3d", "no-preservation": "no-preservation"}
"""What the roles leave out."""

GENERATED_PICTURES = 24
GENERATED_OBJECTS = 4


@dataclass(frozen=True)
class TrainingJob:
    """One autoencoder to train."""

    role: str
    """One of `ABLATIONS`."""
    start: str
    """Name or folder of the autoencoder to start from."""
    config: IgaeConfig
    """The scale's training, before anything is left out."""
    scenes: tuple[Path, ...]
    photos: tuple[Path, ...]
    out: Path
    """Folder of the training."""
    cache: Path
    """Decoded images, which all trainings share."""


def training_cell(job: TrainingJob) -> Cell:
    """The cell that trains an autoencoder."""
    return Cell(f"train-{job.role}", train, job)


def train(job: TrainingJob) -> dict[str, Any]:
    """Train, or go on with a training that was interrupted; says in which folder the result is."""
    finetune_3d(
        replace(job.config, ablation=ABLATIONS[job.role]), autoencoder=job.start, scenes=job.scenes,
        photos=job.photos, out=job.out, cache=job.cache, pretrained=None, device="cpu",
        command="latentfields bench igae", loop=LoopOptions(checkpoint_seconds=120.0),
    )  # fmt: skip
    return {"autoencoder": str(job.out / "autoencoder")}


@dataclass(frozen=True)
class SceneJob:
    """An object to train on."""

    family: str
    seed: int
    options: RenderOptions
    folder: Path


def generated_training_cells(folder: Path, options: RenderOptions) -> list[Cell]:
    """Cells that make scenes and pictures to train on, where the user has none at hand."""
    scenes = [
        SceneJob(family, seed=0, options=options, folder=folder / "scenes" / family)
        for family in TRAIN_FAMILIES[:GENERATED_OBJECTS]
    ]
    return [
        *(Cell(f"training-scene-{job.family}", render_training_scene, job) for job in scenes),
        Cell("training-pictures", paint_pictures, folder / "photos"),
    ]


def render_training_scene(job: SceneJob) -> dict[str, Any]:
    """Render one object."""
    if not job.folder.exists():
        mesh = generate_object(job.family, job.seed)
        render_object_scene(mesh, job.folder, options=job.options, seed=job.seed)
    return {}


def paint_pictures(folder: Path) -> dict[str, Any]:
    """Painted patterns in place of photographs: enough to exercise the training, not to judge it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(GENERATED_PICTURES):
        random = np.random.default_rng([7, number])
        texture = painted(random, POTTERY, random.uniform(size=(5, 3)), aspect=1.0).texture
        assert texture is not None
        Image.fromarray(np.ascontiguousarray(texture[..., :3])).save(folder / f"{number:03d}.png")
    return {}
