"""Autoencoders of `latentfields bench lrf` that were not given: stages I and III, each as its command runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import InputError
from latentfields.lrf.correspondences.make import correspond
from latentfields.lrf.decoder.align import align_decoder
from latentfields.lrf.decoder.config import DecoderRunConfig
from latentfields.lrf.encoder.config import EncoderTrainingConfig
from latentfields.lrf.encoder.finetune import finetune_encoder
from latentfields.training.loop import LoopConfig

CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True)
class EncoderJob:
    """Stage I."""

    autoencoder: str
    """Name or folder of the plain autoencoder."""
    scenes: tuple[Path, ...]
    photos: tuple[Path, ...]
    config: EncoderTrainingConfig
    out: Path
    """Folder of the correspondences and of the training."""


def train_encoder(job: EncoderJob) -> dict[str, Any]:
    """Find correspondences and fine-tune the encoder on them; says in which folder the result is."""
    correspondences = job.out / "correspondences"
    correspond(job.scenes, out=correspondences)
    finetune_encoder(
        job.config,
        autoencoder=job.autoencoder,
        correspondences=(correspondences,),
        held_out=(),
        photos=job.photos,
        out=job.out / "training",
        device="auto",
        loop=LoopConfig(checkpoint_seconds=CHECKPOINT_SECONDS),
    )
    return {"autoencoder": str(job.out / "training" / "autoencoder")}


@dataclass(frozen=True)
class DecoderJob:
    """Stage III."""

    config: DecoderRunConfig
    out: Path
    """Folder of the training."""


def train_decoder(job: DecoderJob) -> dict[str, Any]:
    """Align the decoder; says in which folder the result is."""
    config = job.config
    align_decoder(
        config.training,
        scenes=config.scenes,
        autoencoder=config.autoencoder,
        photos=config.photos,
        fit=config.fit,
        size=config.size,
        out=job.out,
        loop=LoopConfig(checkpoint_seconds=CHECKPOINT_SECONDS),
    )
    return {"autoencoder": str(job.out / "autoencoder")}


def require_same_encoder(option: str, name: str, other: str) -> None:
    """Raise InputError, naming the option, unless the autoencoders `name` and `other` have equal encoders."""
    ours, theirs = (load_autoencoder(item).codec.encoder_module().state_dict() for item in (name, other))
    if ours.keys() != theirs.keys() or not all(_equal(ours[key], theirs[key]) for key in ours):
        raise InputError(
            option, f"'{name}' has another encoder than '{other}'; expected the same, decoder aligned"
        )


def _equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.equal(a, b)
