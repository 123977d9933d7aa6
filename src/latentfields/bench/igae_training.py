"""Autoencoders of the benchmark that were not given: trained here, all in the same way but for what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latentfields.bench.training_data import TrainingData
from latentfields.igae.config import Ablation, IgaeConfig
from latentfields.igae.finetune import finetune_3d
from latentfields.training.jobs import Cell, run_cells
from latentfields.training.loop import LoopConfig

ABLATIONS: dict[str, Ablation] = {"igae": "none", "no-3d": "no-3d", "no-preservation": "no-preservation"}
"""What the roles leave out."""


@dataclass(frozen=True)
class TrainingJob:
    """One autoencoder to train."""

    role: str
    """One of `ABLATIONS`."""
    start: str
    """Name or folder of the autoencoder to start from."""
    config: IgaeConfig
    """The scale's training, before anything is left out."""
    data: TrainingData
    folder: Path
    """Of all trainings: each has a folder of its role's name in it."""
    command: str
    """The command that trains, for the training's page."""


def train_roles(
    roles: Sequence[str],
    out: Path,
    *,
    start: str,
    config: IgaeConfig,
    data: TrainingData,
    folder: Path,
    command: str,
    processes: int,
) -> None:
    """Train the autoencoders of these roles in `folder`, unless the cells of the benchmark `out` say it was done."""
    jobs = [TrainingJob(role, start, config, data, folder, command) for role in roles]
    cells = [Cell(f"train-{job.role}", train, job) for job in jobs]
    run_cells(cells, out, processes=processes, label="autoencoders")


def trained_folder(folder: Path, role: str) -> str:
    """Where the autoencoder of a role is once it was trained in `folder`."""
    return str(folder / role / "autoencoder")


def train(job: TrainingJob) -> dict[str, Any]:
    """Train, or go on with a training that was interrupted; says in which folder the result is."""
    finetune_3d(
        replace(job.config, ablation=ABLATIONS[job.role]),
        autoencoder=job.start,
        scenes=job.data.scenes,
        photos=job.data.photos,
        out=job.folder / job.role,
        cache=job.folder / "cache",
        pretrained=None,
        device="cpu",
        command=job.command,
        loop=LoopConfig(checkpoint_seconds=120.0),
    )
    return {"autoencoder": trained_folder(job.folder, job.role)}
