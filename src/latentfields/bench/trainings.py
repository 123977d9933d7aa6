"""Cells that train autoencoders which were not given, each as its own command does, and what they are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.objects import TrainingStudy
from latentfields.bench.scales import TINY_VIEWS
from latentfields.bench.scenes import StudyScene, render
from latentfields.bench.study import Work, Workplace
from latentfields.correspondences.make import correspond
from latentfields.errors import ArgumentError
from latentfields.lrf.encoder.config import EncoderTrainingConfig
from latentfields.lrf.encoder.finetune import finetune_encoder
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.procedural import TRAIN_FAMILIES
from latentfields.scenes.procedural.painting import POTTERY, painted
from latentfields.training.loop import LoopConfig

LOOP = LoopConfig(checkpoint_seconds=120.0)

GENERATED_PICTURES, GENERATED_OBJECTS = 12, 4
"""What `training_options` makes: enough to exercise a training, not to judge it."""


def train_missing(
    place: Workplace,
    folder: Path,
    trainings: Mapping[str, Callable[..., object]],
    *,
    label: str,
    inside: str = "",
) -> dict[str, str]:
    """Return the folders of autoencoders by name, of cells train-NAME: each of `trainings` is called with `out`.

    That is the folder NAME, or the one called `inside` in it.
    """
    cells = {
        f"train-{name}": partial(train, work, out=folder / name / inside) for name, work in trainings.items()
    }
    done = place.run(cells, label=label)
    return {name: done[f"train-{name}"]["autoencoder"] for name in trainings}


def train(training: Callable[..., object], *, out: Path) -> dict[str, Any]:
    """Train, or go on with a training that was interrupted; return where in its folder `out` the result is."""
    training(out=out)
    return {"autoencoder": str(out / "autoencoder")}


def train_encoder(config: EncoderTrainingConfig, *, scenes: tuple[Path, ...], out: Path, **more: Any) -> None:
    """Find correspondences in the scenes, beside `out`, and fine-tune the encoder on them: LRF's stage I."""
    correspondences = out.with_name("correspondences")
    correspond(scenes, out=correspondences)
    finetune_encoder(config, correspondences=(correspondences,), out=out, **more)


def training_options(study: TrainingStudy, place: Workplace, folder: Path) -> dict[str, Any]:
    """Return what all trainings are told: among it scenes and photographs, made in `folder` where none are given."""
    scenes, photos = study.training_scenes, study.training_photos
    if study.generates:
        scenes, photos = (folder / "scenes",), (folder / "photos",)
        painting = {"training-pictures": partial(paint_pictures, photos[0])}
        rendering = training_scenes(scenes[0], objects=GENERATED_OBJECTS, options=TINY_VIEWS)
        place.run(rendering | painting, label="training data")
    return {"scenes": scenes, "photos": photos, "device": place.device, "loop": LOOP}


def training_scenes(folder: Path, *, objects: int, options: RenderConfig) -> dict[str, Work]:
    """Return the cells that render one object of each of the first `objects` training families into `folder`."""
    return {
        f"training-scene-{family}": partial(render, StudyScene(family, 0, folder / family), options)
        for family in TRAIN_FAMILIES[:objects]
    }


def paint_pictures(folder: Path) -> dict[str, Any]:
    """Paint patterns in place of photographs."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(GENERATED_PICTURES):
        random = np.random.default_rng([7, number])
        texture = painted(random, POTTERY, random.uniform(size=(5, 3)), aspect=1.0).texture
        assert texture is not None
        Image.fromarray(np.ascontiguousarray(texture[..., :3])).save(folder / f"{number:03d}.png")
    return {}


@torch.no_grad()
def require_same_encoder(argument: str, name: str, other: str) -> None:
    """Raise ArgumentError, naming the argument, unless the autoencoders `name` and `other` encode pictures alike.

    Their networks may differ: `autoencoder grow` adds blocks that a decoder learns with, and an encoder at rest keeps
    as they are, without effect.
    """
    ours, theirs = load_autoencoder(name), load_autoencoder(other)
    alike = (ours.channels, ours.factor) == (theirs.channels, theirs.factor)
    if alike:
        side = 8 * ours.factor
        picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
        first, second = (autoencoder.codec.encode(picture) for autoencoder in (ours, theirs))
        alike = all(
            a is b if a is None or b is None else torch.equal(a, b)
            for a, b in zip(first, second, strict=True)  # Means, and log-variances if there are any.
        )
    if not alike:
        raise ArgumentError(
            argument, f"'{name}' has another encoder than '{other}'; expected the same, decoder aligned"
        )
