"""One of two processes that tests start: `finetune-3d` or `prior` (first argument) of DATA, written to OUT."""

import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from helpers.igae_data import CONFIG
from helpers.priors import TINY_PRIOR
from latentfields.igae.finetune import finetune_3d
from latentfields.priors.train import train_prior
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


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"finetune-3d": finetune, "prior": prior}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
