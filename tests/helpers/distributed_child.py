"""One of two processes that tests start: a training (first argument) of DATA, written to OUT."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from helpers.collections_data import COLLECTION
from helpers.igae_data import CONFIG
from helpers.priors import TINY_PRIOR
from latentfields.fused_planes import fit
from latentfields.fused_planes.trainer import Training
from latentfields.igae.finetune import finetune_3d
from latentfields.priors.train import train_prior
from latentfields.training.checkpoint import save_tensors
from latentfields.training.loop import LoopConfig

LOOP = LoopConfig(checkpoint_seconds=3600.0, log_every=1)


def finetune(data: Path, out: Path) -> None:
    """Both phases of IG-AE."""
    finetune_3d(
        replace(CONFIG, joint=replace(CONFIG.joint, photos_per_batch=3)),
        autoencoder=data / "base",
        scenes=[data / "scenes"],
        photos=[data / "photos"],
        out=out,
        command="",
        loop=LOOP,
    )


def prior(data: Path, out: Path) -> None:
    """A prior; of batches of three views, one process has one. In float32: bfloat16 rounds sums of parts otherwise."""
    training = replace(TINY_PRIOR, batch=3)
    with patch("latentfields.priors.train.has_bfloat16", return_value=False):
        train_prior(data / "classes", autoencoder=data / "autoencoder", out=out, training=training, loop=LOOP)


def collection(data: Path, out: Path) -> None:
    """Both phases of a collection of three objects. What objects share in each process is written beside it."""
    train = fit._train_phases

    def watched(training: Training, *arguments: Any) -> Any:
        took = train(training, *arguments)
        assert training.autoencoder is not None
        shared = training.shared.state_dict() | training.autoencoder.state_dict()
        save_tensors(out.with_name(f"{out.name}-{os.environ.get('RANK', '0')}.safetensors"), shared, {})
        return took

    with patch.object(fit, "_train_phases", watched):
        fit.fit_collection(
            [data / "scenes" / f"mug-{number}" for number in range(3)],
            autoencoder=data / "base",
            out=out,
            training=COLLECTION,
            device="cpu",
            loop=LOOP,
        )


TRAININGS = {"finetune-3d": finetune, "prior": prior, "collection": collection}


def run(training: str, data: Path, out: Path) -> None:
    """Run a training in a process of its own."""
    torch.set_num_threads(1)
    TRAININGS[training](data, out)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
