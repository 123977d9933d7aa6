"""What autoencoders of a benchmark are trained on: the user's scenes and photographs, or some that are made here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import TRAIN_FAMILIES, generate_object
from latentfields.scenes.procedural.painting import POTTERY, painted
from latentfields.training.jobs import Cell, run_cells

GENERATED_PICTURES = 24
GENERATED_OBJECTS = 4


@dataclass(frozen=True)
class TrainingData:
    """Folders to train on."""

    scenes: tuple[Path, ...]
    """Scenes, or folders of them."""
    photos: tuple[Path, ...]
    """Folders of photographs."""

    @property
    def complete(self) -> bool:
        """Whether there are both."""
        return bool(self.scenes and self.photos)


def generated_training_data(
    folder: Path, options: RenderConfig, out: Path, *, processes: int
) -> TrainingData:
    """Scenes and pictures made in `folder`, by cells of the benchmark `out`, where the user has none at hand.

    Enough to exercise a training, not to judge it.
    """
    cells = training_scene_cells(folder / "scenes", objects=GENERATED_OBJECTS, options=options)
    cells.append(Cell("training-pictures", paint_pictures, folder / "photos"))
    run_cells(cells, out, processes=processes, label="training data")
    return TrainingData((folder / "scenes",), (folder / "photos",))


def training_scene_cells(folder: Path, *, objects: int, options: RenderConfig) -> list[Cell]:
    """Cells that render one object of each of the first `objects` training families into `folder`."""
    jobs = [
        SceneJob(family, seed=0, options=options, folder=folder / family)
        for family in TRAIN_FAMILIES[:objects]
    ]
    return [Cell(f"training-scene-{job.family}", render_training_scene, job) for job in jobs]


@dataclass(frozen=True)
class SceneJob:
    """An object to train on."""

    family: str
    seed: int
    options: RenderConfig
    folder: Path


def render_training_scene(job: SceneJob) -> dict[str, Any]:
    """Render one object."""
    if not job.folder.exists():
        mesh = generate_object(job.family, job.seed)
        render_object_scene(mesh, job.folder, options=job.options, seed=job.seed)
    return {}


def paint_pictures(folder: Path) -> dict[str, Any]:
    """Painted patterns in place of photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(GENERATED_PICTURES):
        random = np.random.default_rng([7, number])
        texture = painted(random, POTTERY, random.uniform(size=(5, 3)), aspect=1.0).texture
        assert texture is not None
        Image.fromarray(np.ascontiguousarray(texture[..., :3])).save(folder / f"{number:03d}.png")
    return {}
