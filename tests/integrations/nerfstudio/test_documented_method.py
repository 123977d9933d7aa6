"""The method that docs/nerfstudio.md adds, as it stands there, in both stages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nerfstudio", reason="Nerfstudio has an environment of its own: make test-nerfstudio")

from nerfstudio.models.mipnerf import MipNerfModel

from helpers import small_methods
from latentfields.integrations.nerfstudio.methods import METHODS

DOCUMENT = Path(__file__).parents[3] / "docs" / "nerfstudio.md"


def test_mip_nerf_is_fitted(
    blender_scene: Path, autoencoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    monkeypatch.setitem(METHODS, "latent-mipnerf", names["mipnerf"])
    small = small_methods.RAY_MODELS["latent-vanilla-nerf"]
    monkeypatch.setattr(small_methods, "RAY_MODELS", {"latent-mipnerf": small})
    monkeypatch.setattr(small_methods, "LEARNING_RATES", {"latent-mipnerf": 1.0})
    config = small_methods.small_config(
        "latent-mipnerf",
        scene=blender_scene,
        autoencoder=autoencoder_folder,
        out=tmp_path,
        supervision=2,
        alignment=2,
    )
    trainer = small_methods.trainer_of(config)
    assert type(trainer.pipeline.model.ray_model) is MipNerfModel
    trainer.train()
    assert (config.get_checkpoint_dir() / "step-000000003.ckpt").is_file()
