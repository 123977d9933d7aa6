"""The examples of how to use and extend the package run, and their results are good."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from latentfields.errors import InputError
from latentfields.scenes.load import READERS, load_scene
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("01_fit", "02_own_field", "03_own_reader", "04_own_autoencoder", "05_latents_for_diffusers")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses look their annotations up there.
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def mug(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scene that every example makes for itself."""
    folder = tmp_path_factory.mktemp("examples") / "mug"
    render_object_scene(generate_object("mugs", 0), folder, options=RenderConfig(views=24, size=64))
    return folder


@pytest.fixture
def out(mug: Path, tmp_path: Path) -> Path:
    shutil.copytree(mug, tmp_path / "mug")
    return tmp_path


def test_the_first_example_runs_as_a_user_runs_it(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "01_fit.py"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=True)
    readme = " ".join((EXAMPLES.parent / "README.md").read_text(encoding="utf-8").split())
    [stated] = re.findall(r"`python examples/01_fit\.py` fits [^`]*: (\d+\.\d) dB", readme)
    assert float(done.stdout.split()[0]) == pytest.approx(float(stated), abs=1.0)
    assert (tmp_path / "out" / "test_view.png").is_file()


def test_a_flat_picture_of_the_mean_would_score_less(mug: Path) -> None:
    scene = load_scene(mug)
    truth = scene.images(scene.indices("test"))
    error = (scene.images(scene.indices("train")).mean(dim=0) - truth).square().mean(dim=(1, 2, 3))
    assert float((-10 * error.log10()).mean()) < 14


def test_a_field_of_ones_own(out: Path) -> None:
    module = example("02_own_field")
    psnr = module.main(out)
    assert psnr > 18
    # Finished: loaded, not fitted again.
    assert module.main(out) == psnr
    with pytest.raises(InputError, match=r"fit\.field\.kind' is 'voxels'; expected one of triplane"):
        module.latentfields.Run.load(out / "run")


def test_the_density_of_an_own_field_is_that_of_its_features(out: Path) -> None:
    module = example("02_own_field")
    torch.manual_seed(0)
    field = module.VoxelsConfig(resolution=5).new_field(channels=4, head="linear")
    corners = torch.tensor([[-1.0, -1.0, -1.0], [1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]])
    density, features = field(corners, torch.zeros(3, 3))
    assert torch.equal(density, field.density(corners))
    stored = torch.stack(
        [field.values[0, 1:, 0, 0, 0], field.values[0, 1:, 0, 0, -1], field.values[0, 1:, -1, 0, 0]]
    )
    torch.testing.assert_close(features, stored)


def test_a_reader_of_ones_own(out: Path) -> None:
    module = example("03_own_reader")
    assert module.main(out) > 18
    known, own = load_scene(out / "mug"), load_scene(out / "mug", readers=(module.CSV, *READERS))
    assert len(own.cameras) == 24
    assert own.image_names == tuple(sorted(known.image_names, key=known.image_names.index))
    assert load_scene(out / "mug", format="csv", readers=(*READERS, module.CSV)).reading.format == "csv"
    with pytest.raises(
        InputError, match="format: is 'csv'; expected auto, blender, igae, nerfstudio, colmap"
    ):
        load_scene(out / "mug", format="csv")
    # Relative poses are those of the known format: the frame may have another scale.
    ratio = own.cameras.centers.diff(dim=0).norm(dim=1) / known.cameras.centers.diff(dim=0).norm(dim=1)
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("train/r_0.png,60", "row 1: expected a file, a focal length and 12 numbers"),
        ("../secret.png,60" + ",0" * 12, "row 1: '../secret.png' leaves the data set's folder"),
        ("train/r_0.png,60" + ",0" * 12, "row 1: expected a rigid pose"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(out: Path, row: str, problem: str) -> None:
    module = example("03_own_reader")
    (out / "mug" / module.TABLE).write_text(f"{row}\n")
    with pytest.raises(InputError, match=re.escape(f"{module.TABLE}: {problem}")):
        load_scene(out / "mug", readers=(module.CSV,))


def test_an_autoencoder_of_ones_own(out: Path) -> None:
    module = example("04_own_autoencoder")
    before, after, rendered = module.main(out)
    assert before > 25
    assert after > before + 0.3
    assert rendered > 16
    # Finished: loaded, not trained again.
    assert module.main(out) == (before, after, rendered)


def test_latents_go_into_a_network_of_diffusers_and_its_gradients_come_back(out: Path) -> None:
    outcome = example("05_latents_for_diffusers").main(out)
    assert outcome.denoised < 0.85 * outcome.noisy
    assert outcome.scene_gradient > 1e-4
    assert outcome.camera_gradient > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 170
