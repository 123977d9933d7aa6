"""Every number that a training or a study starts from is what it was. Those of fits are in presets.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from latentfields.autoencoders import config as autoencoders
from latentfields.bench import scales
from latentfields.config.typed_json import to_json
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.fused_planes import config as fused_planes
from latentfields.igae import config as igae
from latentfields.latent_nerf.presets import PresetName
from latentfields.lrf.decoder import config as decoder
from latentfields.lrf.decoder.config import DecoderTrainingConfig, latent_field_config
from latentfields.lrf.encoder import config as encoder
from latentfields.priors import config as priors
from latentfields.rendering.config import SAMPLINGS
from latentfields.scenes.objects.config import RenderConfig

STORED: dict[str, Any] = json.loads(
    (Path(__file__).parent / "stored" / "training_presets.json").read_text(encoding="utf-8")
)
"""One line each: which of what, and all its values."""

SCALES: dict[str, Mapping[Any, object]] = {
    f"bench {name.lower()}": table
    for name, table in vars(scales).items()
    if name.endswith(("_SCALES", "_TRAININGS"))
}
"""What the names of scales stand for, by study."""

TABLES: dict[str, Mapping[Any, object]] = {
    "autoencoder": autoencoders.PRESETS,
    "igae": igae.PRESETS,
    "lrf encoder": encoder.PRESETS,
    "lrf decoder": decoder.PRESETS,
    "prior": priors.PRESETS,
    "collection": fused_planes.PRESETS,
    "distillation": {
        "objects": priors.DistillationConfig(),
        "editing": priors.EDITING,
        "text": priors.TEXT,
        "few views": priors.FewViewsConfig(),
    },
    "sampling": {name: kind() for name, kind in SAMPLINGS.items()},
    "lrf latent field": {name: latent_field_config("gaussians", name) for name in get_args(PresetName)},
    "default": {
        "architecture": autoencoders.PatchAutoencoderConfig(),
        "lrf correspondences": CorrespondenceConfig(),
        "lrf decoder": DecoderTrainingConfig(),
        "lrf discriminator": encoder.DiscriminatorConfig(),
        "rendered objects": RenderConfig(),
    },
    **SCALES,
}
"""By what they are of, all presets, scales and defaults by name."""

MADE = {f"{of}/{name}": to_json(value) for of, table in TABLES.items() for name, value in table.items()}


def test_none_came_or_went() -> None:
    assert len(SCALES) >= 4
    assert set(MADE) == set(STORED)


@pytest.mark.parametrize("name", STORED)
def test_it_is_what_it_was(name: str) -> None:
    assert MADE[name] == STORED[name]
