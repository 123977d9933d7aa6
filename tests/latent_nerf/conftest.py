"""A prior of a few steps, made once and only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.priors import TINY_PRIOR, write_classes
from latentfields.priors.train import train_prior


@pytest.fixture(scope="session")
def prior_run(autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prior")
    classes = write_classes(folder / "classes")
    train_prior(classes, autoencoder=autoencoder_folder, out=folder / "run", training=TINY_PRIOR)
    return folder / "run"
