"""Cells about generated objects: priors, what they draw, and the scenes that come of their distillation.

Shape suffixes: N views, H, W image size.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.awareness import FEWEST_POINTS, between_views
from latentfields.autoencoders.pixels import PixelCodec
from latentfields.bench.judge import (
    Judge,
    Pictures,
    at_judged_size,
    azimuths,
    feature_distance,
    judged,
    load_judge,
    save_judge,
    spread,
    train_judge,
)
from latentfields.bench.scenes import StudyScene
from latentfields.files import read_json, write_json
from latentfields.generation.generate import field_config, generate_run, generation_run
from latentfields.generation.trainer import OPAQUE, SceneDistillation, turn_directions
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.measures.warping import correspondences, covered_cells, neighbouring_views
from latentfields.pages.pictures import save_png, to_pixels
from latentfields.priors.conditions import camera_directions
from latentfields.priors.config import PriorTrainingConfig
from latentfields.priors.draw import AZIMUTH, ELEVATION, draw_class
from latentfields.priors.prior import Rig, load_prior
from latentfields.priors.train import train_prior
from latentfields.process import choose_device
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.scene import Scene
from latentfields.training.loop import LoopConfig, Trainable, read_log

TIMED_STEPS = 6
"""Steps of a prior's training that tell how long one takes."""
TURN, FINE_TURN = 8, 16
"""Views of a turn that are judged, and of one whose neighbours are compared: 45 and 22.5 degrees apart."""


def real_pictures(scenes: Sequence[StudyScene], names: Sequence[str]) -> Pictures:
    """Return all views of rendered objects, on white, at the size that is judged."""
    parts = []
    for found in scenes:
        scene: Scene = found.load()
        views = torch.arange(len(scene))
        directions = camera_directions(scene.cameras)
        classes = torch.full((len(views),), names.index(found.kind))
        parts.append(Pictures(at_judged_size(scene.images(views)), classes, azimuths(directions)))
    return Pictures(*(torch.cat([getattr(part, name) for part in parts]) for name in vars(parts[0])))


def judge_cell(
    *,
    scenes: Sequence[StudyScene],
    held_out: Sequence[StudyScene],
    names: Sequence[str],
    steps: int,
    file: Path,
) -> dict[str, Any]:
    """Train a judge on `scenes` and keep it in `file`; return what it makes of the objects `held_out`.

    Beside its verdict on real pictures: how far those of objects that it was trained on are from these, by family, and
    how far apart real pictures of one family are, from about one direction.
    """
    judge = train_judge(real_pictures(scenes, names), classes=len(names), steps=steps)
    save_judge(judge, file, names=names)
    verdict = judged(judge, real_pictures(held_out, names))
    found = {}
    for name in names:
        known, other = (
            judge.features(real_pictures([s for s in part if s.kind == name], names).images)
            for part in (scenes, held_out)
        )
        found[name] = {"distance": feature_distance(known, other), "diversity": spread(other)}
    return {
        **asdict(verdict),
        "distance": fmean(values["distance"] for values in found.values()),
        "diversity": fmean(values["diversity"] for values in found.values()),
    }


def pixel_space(*, scenes: Sequence[StudyScene], folder: Path) -> dict[str, Any]:
    """Write the space of pixels, with the statistics of some objects' views, as an autoencoder's folder."""
    space = Autoencoder(PixelCodec(), None, name=str(folder))
    images = torch.cat([found.load().images(torch.arange(2)) for found in scenes])
    space.set_statistics(LatentStatistics.of(images))
    space.save(folder)
    return {"autoencoder": str(folder)}


def prior_cell(
    *,
    autoencoder: str,
    scenes: Sequence[StudyScene],
    training: PriorTrainingConfig,
    seconds: float,
    out: Path,
    device: str,
) -> dict[str, Any]:
    """Train a prior for about so many CPU seconds, as many steps as these are worth here; return where it is."""
    folders = [found.folder for found in scenes]
    timed, cost = out / "timed", out / "cost.json"
    if not cost.exists():
        shutil.rmtree(timed, ignore_errors=True)
        short = replace(training, steps=TIMED_STEPS)
        loop = LoopConfig(log_every=1)
        train_prior(folders[:2], autoencoder=autoencoder, out=timed, training=short, device=device, loop=loop)
        records = read_log(timed)
        per_step = (records[-1]["cpu_seconds"] - records[0]["cpu_seconds"]) / (len(records) - 1)
        # Kept: a training that is resumed has the same number of steps.
        write_json(cost, {"steps": max(1, round(seconds / max(per_step, 1e-3)))})
        shutil.rmtree(timed)
    steps = int(read_json(cost)["steps"])
    folder = out / "prior"
    prior = train_prior(
        folders, autoencoder=autoencoder, out=folder, training=replace(training, steps=steps), device=device
    )
    records = read_log(folder)
    return {
        "prior": str(folder),
        "steps": steps,
        "cpu_seconds": records[-1]["cpu_seconds"],
        "parameters": sum(parameter.numel() for parameter in prior.parameters()),
    }


def samples_cell(
    *,
    prior: str,
    family: str,
    count: int,
    judge: Path,
    real: Sequence[StudyScene],
    picture: Path,
    device: str,
) -> dict[str, Any]:
    """Draw views of a family from a prior, from one direction; return what the judge makes of them.

    `real` are held-out objects of the family. `picture` is the PNG file for the first views, side by side.
    """
    known, names = load_judge(judge)
    drawn = load_prior(prior).to(choose_device(device))
    started = time.process_time()
    latents = draw_class(drawn, drawn.class_index(family), count=count, seed=0, guidance=1.0)
    seconds = time.process_time() - started
    autoencoder = drawn.load_autoencoder().to(latents.device)
    images = at_judged_size(autoencoder.decode_batches(latents).cpu())
    save_png(picture, to_pixels(torch.cat([*images[:TURN]], dim=-1)))
    classes = torch.full((count,), names.index(family))
    around = torch.full((count,), math.radians(AZIMUTH))
    features = known.features(images)
    return {
        **asdict(judged(known, Pictures(images, classes, around))),
        "distance": feature_distance(features, known.features(real_pictures(real, names).images)),
        "diversity": spread(features),
        "cpu_seconds": seconds / count,
    }


def scene_cell(
    *,
    prior: str,
    family: str,
    seed: int,
    steps: int,
    every: int,
    compared: int,
    judge: Path,
    real: Sequence[StudyScene],
    folder: Path,
    picture: Path,
    device: str,
) -> dict[str, Any]:
    """Generate an object of a family with a prior; return what the judge makes of a turn, now and then and in the end.

    `real` are held-out objects of the family, `compared` is the size of the pictures that are compared with each other.
    `folder` is where the training works, deleted when it was looked at; `picture` the PNG file for the turn. `curve`
    holds the points {step, cpu_seconds, accuracy, ...}; CPU seconds are those of the process, with the rendering of
    those points.
    """
    known, names = load_judge(judge)
    class_index = names.index(family)
    run = generation_run(
        family,
        prior=prior,
        prompt=None,
        negative_prompt="",
        size=None,
        image=None,
        elevation=ELEVATION,
        azimuth=AZIMUTH,
        fit=field_config(steps=steps, seed=seed),
        distillation=None,
    )

    @contextmanager
    def watch(trainer: SceneDistillation) -> Iterator[Trainable]:
        yield _Watched(trainer, known, class_index, every)

    result = generate_run(run, out=folder, device=device, watch=watch)
    rig = load_prior(prior).config.rig
    turn = turn_of(result.model, rig, size=run.size, class_index=class_index)
    save_png(picture, to_pixels(torch.cat([*turn.images], dim=-1)))
    records = read_log(folder)
    measures = ("step", "cpu_seconds", "accuracy", "right_class", "right_view")
    features = known.features(turn.images)
    found: dict[str, Any] = {
        **asdict(judged(known, turn)),
        "distance": feature_distance(features, known.features(real_pictures(real, names).images)),
        "cpu_seconds": records[-1]["cpu_seconds"],
        "curve": [{name: record[name] for name in measures} for record in records if "accuracy" in record],
    }
    if (between := inconsistency(result.model, rig, size=run.size, compared=compared)) is not None:
        found["inconsistency"] = between
    shutil.rmtree(folder)
    return found


@dataclass(frozen=True, eq=False)
class _Watched:
    """The training of a scene that is judged now and then; a `Trainable`."""

    trainer: SceneDistillation
    judge: Judge
    class_index: int
    every: int

    def step(self, index: int, progress: float) -> Mapping[str, float | str]:
        """One step of the training; what the judge makes of a turn is among the values, where it was asked."""
        values: dict[str, float | str] = dict(self.trainer.step(index, progress))
        if (index + 1) % self.every == 0:
            size = self.trainer.views.cameras.width
            turn = turn_of(self.trainer.model, self.trainer.rig, size=size, class_index=self.class_index)
            values |= asdict(judged(self.judge, turn))
        return values

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """That of the training."""
        return self.trainer.state()

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.trainer.restore(tensors, metadata)


def turn_of(model: SceneModel, rig: Rig, *, size: int, class_index: int) -> Pictures:
    """Return views of a turn of a scene, rendered with `size` pixels, at the size that is judged."""
    directions = turn_directions(rig, TURN)
    images = at_judged_size(model.render(rig.cameras(directions, size=size))[0])
    return Pictures(images, torch.full((TURN,), class_index), azimuths(directions))


@torch.no_grad()
def inconsistency(model: SceneModel, rig: Rig, *, size: int, compared: int) -> float | None:
    """Return how much views of a turn disagree about the surface that they share, by the scene's own depth.

    The mean squared difference of colours over twice their variance on the object: 0 when views agree, 1 when the same
    surface looks no more alike than any two parts of it; None when views share too little of it. Views are rendered
    with `size` pixels, and compared with so many others.
    """
    cameras = rig.cameras(turn_directions(rig, FINE_TURN), size=size)
    images = interpolate(model.render(cameras)[0], size=(compared, compared), mode="area")
    fine = cameras.resized(width=compared, height=compared)
    parts = [
        model.render_pixels(part.to(model.device), None).cpu()
        for part in (fine[i : i + 1] for i in range(len(fine)))
    ]
    seen = Rendering.joined(parts)
    along = (fine.rays().directions * fine.forward[:, None, None]).sum(dim=-1)
    depth = torch.where(seen.opacity > OPAQUE, seen.depth * along[:, None], torch.inf)
    covered = covered_cells(depth, factor=1)
    pairs = [
        correspondences(fine, depth, covered, target=target, source=source, factor=1)
        for target, source in neighbouring_views(fine, largest_angle=1.1 * 360 / FINE_TURN)
    ]
    shared = [pair for pair in pairs if len(pair.cells)]
    if sum(len(pair.cells) for pair in shared) < FEWEST_POINTS:
        return None
    return between_views(images, shared)[0]
