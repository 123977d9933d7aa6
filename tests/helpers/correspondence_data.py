"""Small autoencoders and data sets of correspondences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from helpers.corner_scene import corner_cameras, write_depth_scene
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.correspondences.make import correspond
from latentfields.lrf.encoder.config import EncoderTrainingConfig, EncoderWeightsConfig
from latentfields.training.loop import LoopConfig

LOOP = LoopConfig(checkpoint_seconds=3600.0, log_every=1)
CONFIG = EncoderTrainingConfig(
    size=32,
    steps=6,
    pairs_per_batch=2,
    points_per_pair=40,
    learning_rate=1e-3,
    weights=EncoderWeightsConfig(correspondence=0.3, original_kl=1e-4),
)
TINY_SCENE = {"width": 48, "height": 40}


def make_dataset(folder: Path, *, names: tuple[str, ...] = ("a", "b")) -> Path:
    """Scenes of 8 views, 7 of them to train on, and their correspondences in `folder / "correspondences"`."""
    for index, name in enumerate(names):
        write_depth_scene(folder / "scenes" / name, corner_cameras(8 + index, **TINY_SCENE))
    out = folder / "correspondences"
    list(correspond([folder / "scenes"], out=out, options=CorrespondenceConfig()))
    return out


def with_weights(**weights: float) -> EncoderTrainingConfig:
    """`CONFIG` with every weight zero but those given."""
    zero = dict.fromkeys(EncoderWeightsConfig.__dataclass_fields__, 0.0)
    return replace(CONFIG, weights=EncoderWeightsConfig(**(zero | weights)))
