"""`examples/minimal.py` is the package's method: equal where both compute the same, and it learns."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from latentfields.autoencoders.load import load_autoencoder
from latentfields.fields.config import TriPlaneConfig
from latentfields.fields.total_variation import total_variation
from latentfields.fields.triplane import TriPlane
from latentfields.latent_nerf.losses import latent_supervision_loss, rgb_alignment_loss
from latentfields.rendering.intervals import render_intervals, stratified_edges
from latentfields.rendering.rendering import Shot
from latentfields.scenes.load import load_scene
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object

EXAMPLE = Path(__file__).parents[2] / "examples" / "minimal.py"
SAMPLES = 24


@pytest.fixture(scope="module")
def minimal() -> ModuleType:
    spec = importlib.util.spec_from_file_location("minimal", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("minimal") / "mug"
    render_object_scene(generate_object("mugs", 3), folder, options=RenderConfig(views=20, size=64))
    return folder


@pytest.fixture(scope="module")
def twins(minimal: ModuleType, scene_folder: Path) -> tuple[Any, TriPlane]:
    """The example's model, and the package's field with the same weights."""
    torch.manual_seed(0)
    model = minimal.LatentNerf(minimal.Autoencoder("base"), (64, 64), 1.0, samples=SAMPLES)
    field = TriPlane(TriPlaneConfig(), channels=16, head="linear")
    field.load_state_dict(
        {
            name if name == "planes" else f"head.{name}": value
            for name, value in model.field.state_dict().items()
        }
    )
    return model, field


def test_views_are_read_alike(minimal: ModuleType, scene_folder: Path) -> None:
    images, poses, focal = minimal.load_views(scene_folder, "train")
    scene = load_scene(scene_folder)
    train = scene.indices("train")
    torch.testing.assert_close(images, scene.images(train), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.full((len(train), 2), focal), scene.cameras[train].focal)
    rotations = scene.cameras[train].camera_to_world[:, :3, :3]
    torch.testing.assert_close(poses[:, :3, :3], rotations, atol=1e-5, rtol=0)


def test_the_autoencoder_is_the_packaged_one(minimal: ModuleType, scene_folder: Path) -> None:
    images, _, _ = minimal.load_views(scene_folder, "test")
    example, package = minimal.Autoencoder("base"), load_autoencoder("base")
    with torch.no_grad():
        latents = example.encode(images)
        torch.testing.assert_close(latents, package.encode(images), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(example.decode(latents), package.decode(latents), atol=1e-5, rtol=1e-5)


def test_both_stages_have_the_packages_losses_and_gradients(
    minimal: ModuleType, scene_folder: Path, twins: tuple[Any, TriPlane]
) -> None:
    model, field = twins
    scene = load_scene(scene_folder)
    chosen = scene.indices("train")[:2]
    cameras = scene.cameras[chosen]
    model.focal = float(cameras.focal[0, 0])
    images = scene.images(chosen)
    autoencoder = load_autoencoder("base")
    background = autoencoder.background_latent((1.0, 1.0, 1.0))
    torch.testing.assert_close(model.background, background, atol=1e-5, rtol=1e-5)

    rays = cameras.resized(width=8, height=8).rays().flatten()
    shot = Shot(rays, background, near=0.0, far=100.0)
    seen, _ = render_intervals(field, shot, shot.span(), stratified_edges(shot, SAMPLES))
    theirs = seen.features.view(2, 8, 8, -1).permute(0, 3, 1, 2)
    mine = model.latents(cameras.camera_to_world, jitter=False)
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)

    encoded = autoencoder.encode(images).detach()
    mse = torch.nn.functional.mse_loss
    pairs = (
        (mse(mine, encoded), latent_supervision_loss(theirs, encoded)),
        (mse(model.autoencoder.decode(mine), images), rgb_alignment_loss(autoencoder.decode(theirs), images)),
        (model.field.total_variation(), total_variation(field.planes)),
    )
    for own, package in pairs:
        torch.testing.assert_close(own, package, atol=1e-5, rtol=1e-4)
        (gradient,) = torch.autograd.grad(own, model.field.planes, retain_graph=True)
        (expected,) = torch.autograd.grad(package, field.planes, retain_graph=True)
        scale = float(expected.abs().max())
        assert scale > 0
        torch.testing.assert_close(gradient / scale, expected / scale, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_it_runs_as_a_user_runs_it_and_learns(scene_folder: Path) -> None:
    command = [sys.executable, str(EXAMPLE), str(scene_folder), "--samples", "32"]
    steps = ["--supervision", "60", "--alignment", "40"]
    done = subprocess.run([*command, *steps], capture_output=True, text=True, timeout=170, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("supervision     0")
    assert float(lines[-1].split()[2]) > 17


def test_a_flat_picture_of_the_mean_would_score_less(minimal: ModuleType, scene_folder: Path) -> None:
    images, _, _ = minimal.load_views(scene_folder, "train")
    truth, _, _ = minimal.load_views(scene_folder, "test")
    error = (images.mean(dim=0) - truth).square().mean(dim=(1, 2, 3))
    assert float((-10 * error.log10()).mean()) < 15
