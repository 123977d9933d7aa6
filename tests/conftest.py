"""Fixtures that are made once per session and only read by the tests."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from helpers.autoencoders import scene_autoencoder
from helpers.commands import IMPORTED, short_pages
from helpers.tiny import fitted_run, write_sphere_scene
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene
from latentfields.training import workers

# Processes that tests start find the package of this checkout, too, whichever one is installed.
SOURCES = str(Path(__file__).parents[1] / "src")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (SOURCES, os.environ.get("PYTHONPATH"))))
# Nothing that is kept between commands comes from the user's folder, nor goes there.
os.environ["LATENTFIELDS_CACHE"] = ""

# The same examples every time: a run that fails can be repeated.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and not among thousands of tests, which stay: that took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def less_to_wait_for() -> Iterator[None]:
    """Short pages; and all processes are forked from one, whoever needs the first one."""
    with short_pages(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_IMPORTED", IMPORTED)
        yield


@pytest.fixture(scope="session")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sphere_scene(tmp_path_factory.mktemp("scenes") / "sphere")


@pytest.fixture(scope="session")
def scene(scene_folder: Path) -> Scene:
    return load_scene(scene_folder)


@pytest.fixture(scope="session")
def autoencoder(scene: Scene) -> Autoencoder:
    return scene_autoencoder(scene)


@pytest.fixture(scope="session")
def latent_run(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run in latents."""
    out = tmp_path_factory.mktemp("latent-run") / "latent"
    return fitted_run(scene, autoencoder, stored=autoencoder_folder, out=out, supervision=40, alignment=10)


@pytest.fixture(scope="session")
def autoencoder_folder(autoencoder: Autoencoder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("autoencoders") / "linear"
    autoencoder.save(folder)
    return folder
