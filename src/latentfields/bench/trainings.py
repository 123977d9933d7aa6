"""Cells that train autoencoders which were not given, each as its own command does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import ArgumentError
from latentfields.lrf.correspondences.make import correspond
from latentfields.lrf.encoder.config import EncoderTrainingConfig
from latentfields.lrf.encoder.finetune import finetune_encoder
from latentfields.training.loop import LoopConfig

LOOP = LoopConfig(checkpoint_seconds=120.0)


def train(training: Callable[[], object], *, out: Path) -> dict[str, Any]:
    """Train, or go on with a training that was interrupted; return where in its folder `out` the result is."""
    training()
    return {"autoencoder": str(out / "autoencoder")}


def train_encoder(
    config: EncoderTrainingConfig,
    *,
    autoencoder: str,
    scenes: tuple[Path, ...],
    photos: tuple[Path, ...],
    out: Path,
    device: str,
) -> dict[str, Any]:
    """Find correspondences in the scenes and fine-tune the encoder on them: LRF's stage I."""
    correspondences, folder = out / "correspondences", out / "training"
    correspond(scenes, out=correspondences)
    finetune_encoder(
        config,
        autoencoder=autoencoder,
        correspondences=(correspondences,),
        photos=photos,
        out=folder,
        device=device,
        loop=LOOP,
    )
    return {"autoencoder": str(folder / "autoencoder")}


def require_same_encoder(argument: str, name: str, other: str) -> None:
    """Raise ArgumentError, naming the argument, unless the autoencoders `name` and `other` have equal encoders."""
    ours, theirs = (load_autoencoder(item).codec.encoder_module().state_dict() for item in (name, other))
    if ours.keys() != theirs.keys() or not all(_equal(ours[key], theirs[key]) for key in ours):
        raise ArgumentError(
            argument, f"'{name}' has another encoder than '{other}'; expected the same, decoder aligned"
        )


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)
