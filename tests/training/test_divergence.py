"""Trainings that diverge end with one line, and leave no result behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.tiny import TINY_FIT
from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.config import AutoencoderTrainingConfig, PatchAutoencoderConfig
from latentfields.autoencoders.train import train_autoencoder
from latentfields.errors import InputError
from latentfields.fields.config import TriPlaneConfig
from latentfields.scenes.scene import Scene
from latentfields.training.loop import LoopConfig


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (6, r"run: the training diverged: 'loss' is .* at step \d; nothing was saved before"),
        # The only step leaves finite weights, but nothing can be computed with them.
        (1, "metrics.json: is not written, as it would hold a number that is not finite"),
    ],
)
def test_a_fit(scene: Scene, autoencoder: Autoencoder, tmp_path: Path, steps: int, problem: str) -> None:
    assert isinstance(TINY_FIT.field, TriPlaneConfig)
    config = replace(
        TINY_FIT,
        field=replace(TINY_FIT.field, planes_learning_rate=1e30, mlp_learning_rate=1e30),
        supervision=replace(TINY_FIT.supervision, steps=steps),
        alignment=replace(TINY_FIT.alignment, steps=0),
    )
    with pytest.raises(InputError, match=problem) as caught:
        fit(scene, autoencoder, out=tmp_path / "run", config=config)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "metrics.json").exists()
    for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_an_autoencoder(scene_folder: Path, tmp_path: Path) -> None:
    options = AutoencoderTrainingConfig(steps=4, size=32, learning_rate=1e30, muon_factor=1.0, warmup_steps=0)
    architecture = PatchAutoencoderConfig(channels=4, patch=2, widths=(8, 8), blocks=(1, 1))
    with pytest.raises(InputError, match="the training diverged"):
        train_autoencoder(
            options,
            photos=(),
            scenes=(scene_folder,),
            out=tmp_path / "run",
            architecture=architecture,
            loop=LoopConfig(),
        )
    assert not (tmp_path / "run" / "autoencoder").exists()
