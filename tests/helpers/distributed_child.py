"""One of two processes that `test_distributed` starts: trains in DATA (first argument) and writes to OUT (second)."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from helpers.igae_data import CONFIG
from latentfields.igae.finetune import finetune_3d
from latentfields.training.loop import LoopConfig

if __name__ == "__main__":
    torch.set_num_threads(1)
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    finetune_3d(
        replace(CONFIG, joint=replace(CONFIG.joint, photos_per_batch=3)),
        autoencoder=data / "base",
        scenes=[data / "scenes"],
        photos=[data / "photos"],
        out=out,
        command="",
        loop=LoopConfig(checkpoint_seconds=3600.0, log_every=1),
    )
