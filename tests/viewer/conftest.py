"""A finished latent run that the tests of the viewer only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.scenes.scene import Scene
from tiny import TINY_FIT, with_steps


@pytest.fixture(scope="session")
def latent_run(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    named = autoencoder.clone()
    named.name = str(autoencoder_folder)
    folder = tmp_path_factory.mktemp("viewer") / "latent"
    fit(scene, named, out=folder, config=with_steps(TINY_FIT, supervision=40, alignment=10))
    return folder
