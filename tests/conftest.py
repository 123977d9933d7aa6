"""Fixtures that are made once per session and only read by the tests."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from helpers.autoencoders import plain_autoencoder, scene_autoencoder
from helpers.commands import less_to_wait_for
from helpers.remembered import scenes_are_placed_once
from helpers.tiny import fitted_run, write_sphere_scene
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene

# Processes that tests start find the package of this checkout, too, whichever one is installed.
SOURCES = str(Path(__file__).parents[1] / "src")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (SOURCES, os.environ.get("PYTHONPATH"))))
# Nothing that is kept between commands comes from the user's folder, nor goes there.
os.environ["LATENTFIELDS_CACHE"] = ""

# The same examples every time: a run that fails can be repeated.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


OF_ONE_SERVER = (
    *("docs/test_pages.py", "kill/test_kill_and_resume.py", "cli/test_demo.py", "latent_nerf/test_fleet.py"),
    *("training/test_workers.py", "cli/test_user_commands.py", "cli/test_export.py", "training/test_jobs.py"),
    *("lrf/decoder/test_align.py", "bench/test_convergence.py", "bench/test_study.py", "test_progress.py"),
    *("priors/test_two_processes.py", "fused_planes/test_two_processes.py", "latent_nerf/test_usual.py"),
    "test_gpu_benchmark.py",
)
"""Files that start processes from a server, which imports everything first, for seconds: one process has them all."""
FIRST = (
    *("training/test_ray_cluster.py", "examples/test_own_parts.py", "test_simulated_device.py"),
    *("examples/test_train_on_ray.py", "bench/test_igae.py", "structure_from_motion/test_capture.py"),
    *("test_packaged_weights.py", "bench/test_collections.py"),
)
"""Of the others, those that take longest or wait for other processes; every second one begins one of two processes."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Deal files with slow tests to the processes of pytest-xdist, which take a part of the list each, in order.

    Each begins with slow tests and ends with quick ones, of which any that has nothing left can take some: no process
    is alone with a long test at the end.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes == 1:
        return
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    order = {Path(__file__).parent / name: number for number, name in enumerate((*OF_ONE_SERVER, *FIRST))}
    slow = [file for file, tests in files.items() if any(test.get_closest_marker("slow") for test in tests)]
    slow.sort(key=lambda file: order.get(file, len(order)))
    served = [file for file in slow if order.get(file, len(order)) < len(OF_ONE_SERVER)]
    others = slow[len(served) :]
    dealt_files = [served, *(others[part :: processes - 1] for part in range(processes - 1))]
    parts = [[test for file in part for test in files[file]] for part in dealt_files]
    quick = [test for file, tests in files.items() if file not in slow for test in tests]
    dealt: list[pytest.Item] = []
    for number, part in enumerate(parts, start=1):
        wanted = max(0, len(items) * number // processes - len(dealt) - len(part))
        dealt += [*part, *quick[:wanted]]
        quick = quick[wanted:]
    items[:] = [*dealt, *quick]


def pytest_collection_finish() -> None:
    """Look for garbage seldom, and not among thousands of tests, which stay: that took a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def small_things_take_little() -> Iterator[None]:
    with less_to_wait_for(), scenes_are_placed_once():
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


@pytest.fixture(scope="session")
def plain_folder(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("autoencoders") / "plain"
    plain_autoencoder(scene).save(folder)
    return folder
