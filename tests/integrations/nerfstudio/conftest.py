"""Nerfstudio imports beside a CPU build of torch, in the environment that has it (`make test-nerfstudio`)."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.integrations.nerfstudio.environment import declare_torchvision_operators

if find_spec("nerfstudio") is not None:
    declare_torchvision_operators()


@pytest.fixture(scope="session")
def blender_scene(scene_folder: Path) -> Path:
    """The sphere with a validation split, which Nerfstudio evaluates during training."""
    frames = json.loads((scene_folder / "transforms_test.json").read_text())
    (scene_folder / "transforms_val.json").write_text(json.dumps(frames))
    return scene_folder


@pytest.fixture
def codec(autoencoder: Autoencoder) -> Autoencoder:
    """An autoencoder of the test's own."""
    return autoencoder.clone()
