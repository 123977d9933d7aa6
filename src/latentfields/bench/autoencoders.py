"""`latentfields bench autoencoders` (IG-AE Table 14): the same NeRFs in latent spaces of several resolutions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latentfields.autoencoders.config import AutoencoderTrainingConfig, PatchAutoencoderConfig
from latentfields.autoencoders.image_data import load_training_images
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.train import train_autoencoder
from latentfields.bench.autoencoders_config import ARCHITECTURES, TRAININGS, AutoencoderBench
from latentfields.bench.grid import claim_grid, run_fit_grid
from latentfields.bench.grid_config import GRID_SCALES, FitGrid
from latentfields.bench.training_data import TrainingData, generated_training_data
from latentfields.config.typed_json import to_json
from latentfields.errors import InputError
from latentfields.training.jobs import Cell, run_cells
from latentfields.training.loop import LoopConfig
from latentfields.training.runs import claim_run, is_claimed

FOLDER = "autoencoders"
"""In the benchmark's folder: what was trained."""


def run_autoencoder_bench(
    config: AutoencoderBench, grid: FitGrid, out: Path, *, processes: int
) -> list[dict[str, Any]]:
    """Train what was not given, and fit `grid` in every space: scores of `run_fit_grid`, with factor and channels.

    `spaces` of the grid are replaced by the autoencoders, so that its other tables can be made of the same folder.
    Raises InputError for unusable input, and when `out` holds a benchmark with other settings.
    """
    if config.spaces:
        if "rgb" in config.spaces:
            raise InputError("--spaces", "has rgb, which is no autoencoder; see bench rgb-vs-latent")
        named = {name: name for name in config.spaces}
        return _fits(named, replace(grid, spaces=config.spaces), out, processes=processes)
    folder = out / FOLDER
    data = TrainingData(config.training_scenes, config.training_photos)
    generates = grid.scale == "tiny" and not data.scenes
    if not generates and not data.complete:
        raise InputError(
            "--spaces", "name autoencoders, or give --training-scenes and --training-photos to train some on"
        )
    named = {str(folder / name / "autoencoder"): name for name in ARCHITECTURES}
    grid = replace(grid, spaces=tuple(named))
    if not generates and not is_claimed(out):
        # Read before the folders are claimed: bad input leaves nothing behind.
        load_training_images(data.photos, data.scenes, size=TRAININGS[grid.scale].size)
    claim_grid(grid, out, given=(), processes=processes)
    claim_run(folder, to_json(config))
    if generates:
        data = generated_training_data(folder, GRID_SCALES[grid.scale].views, out, processes=processes)
    cells = [
        Cell(f"train-{name}", train, TrainingJob(architecture, TRAININGS[grid.scale], data, folder / name))
        for name, architecture in ARCHITECTURES.items()
    ]
    run_cells(cells, out, processes=processes, label="autoencoders")
    return _fits(named, grid, out, processes=processes)


def _fits(named: Mapping[str, str], grid: FitGrid, out: Path, *, processes: int) -> list[dict[str, Any]]:
    """Fits in the spaces that `named` has as keys, labelled by its values and the autoencoders' sizes."""
    labels = {}
    for space, name in named.items():
        autoencoder = load_autoencoder(space)
        labels[space] = {"space": name, "factor": autoencoder.factor, "channels": autoencoder.channels}
    return [fit | labels[fit["space"]] for fit in run_fit_grid(grid, out, processes=processes)]


@dataclass(frozen=True)
class TrainingJob:
    """One autoencoder to train from scratch."""

    architecture: PatchAutoencoderConfig
    training: AutoencoderTrainingConfig
    data: TrainingData
    folder: Path


def train(job: TrainingJob) -> dict[str, Any]:
    """Train, or go on with a training that was interrupted."""
    train_autoencoder(
        job.training,
        photos=job.data.photos,
        scenes=job.data.scenes,
        out=job.folder,
        architecture=job.architecture,
        loop=LoopConfig(checkpoint_seconds=120.0),
    )
    return {"autoencoder": str(job.folder / "autoencoder")}
