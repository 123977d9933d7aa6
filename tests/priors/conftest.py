"""A prior of a few steps, made once and only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.priors import TINY_PRIOR, write_classes
from latentfields.priors.train import train_prior


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="session")
def prior_run(classes: Path, autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prior") / "run"
    train_prior(classes, autoencoder=autoencoder_folder, out=out, training=TINY_PRIOR, command="retrain")
    return out
