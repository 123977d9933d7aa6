"""Latents that are taken out of a run: what they are, and where their gradients go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.analytic_run import analytic_run, analytic_views
from helpers.tiny import TINY_FIT
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import (
    FieldConfig,
    GaussiansConfig,
    InstantNgpConfig,
    KPlanesConfig,
    TensorfConfig,
    TriPlaneConfig,
    VanillaConfig,
)
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.run import Run
from latentfields.rendering.config import EvenSamplingConfig, SplattingConfig
from latentfields.scenes.scene import Scene

FIELDS: tuple[FieldConfig, ...] = (
    TriPlaneConfig(resolution=8, features=4, hidden=8),
    KPlanesConfig(resolution=8, features=4, hidden=8, scales=(1, 2)),
    TensorfConfig(initial_resolution=8, density_components=4, appearance_components=4),
    InstantNgpConfig(levels=3, coarsest=3, finest=8, log2_table_size=8, hidden=8),
    VanillaConfig(layers=2, width=16, branch_width=8),
    GaussiansConfig(initial=40),
)


def test_they_decode_to_what_the_run_renders(latent_run: Path, scene: Scene) -> None:
    run = Run.load(latent_run)
    cameras = scene.cameras[scene.indices("test")]
    with torch.no_grad():
        views = run.render_latents(cameras)
        decoded = run.decode(views.latents).clamp(0, 1)
    torch.testing.assert_close(decoded, run.render(cameras))
    autoencoder = run.model.autoencoder
    assert autoencoder is not None
    side = scene.cameras.width // autoencoder.factor
    assert views.latents.shape == (len(cameras), autoencoder.channels, side, side)
    assert views.depth.shape == views.opacity.shape == (len(cameras), 1, side, side)
    torch.testing.assert_close(autoencoder.normalized(views.raw), views.latents)
    # The network itself takes the raw ones.
    torch.testing.assert_close(autoencoder.codec.decode(views.raw).clamp(0, 1), decoded)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: str(field.kind))
def test_gradients_in_the_camera_are_those_of_finite_differences(
    field: FieldConfig, scene: Scene, autoencoder: Autoencoder
) -> None:
    """Along random directions, in double precision where warp has no part."""
    splatted = isinstance(field, GaussiansConfig)
    config = replace(
        TINY_FIT, field=field, sampling=SplattingConfig() if splatted else EvenSamplingConfig(samples=24)
    )
    model = new_model(scene, autoencoder, replace(config, subpixels=1)).double()
    camera = scene.cameras[0].to(torch.float64)
    generator = torch.Generator().manual_seed(1)
    side = scene.cameras.width // autoencoder.factor
    weight = torch.randn(1, autoencoder.channels, side, side, generator=generator, dtype=torch.float64)

    def value(moved: Cameras) -> Tensor:
        return (model.render_features(moved).features * weight).sum()

    steps = {
        "camera_to_world": torch.randn(1, 4, 4, generator=generator, dtype=torch.float64),
        "focal": torch.randn(1, 2, generator=generator, dtype=torch.float64),
    }
    steps["camera_to_world"][:, 3] = 0
    for name, direction in steps.items():
        start = getattr(camera, name)
        leaf = start.clone().requires_grad_()
        value(replace(camera, **{name: leaf})).backward()
        assert leaf.grad is not None
        analytic = float((leaf.grad * direction).sum())

        def moved(size: float, name: str = name, start: Tensor = start, by: Tensor = direction) -> float:
            with torch.no_grad():
                return float(value(replace(camera, **{name: start + size * by})))  # type: ignore[arg-type]

        numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6
        assert abs(analytic) > 1e-6
        assert analytic == pytest.approx(numeric, rel=2e-3, abs=1e-5), name


def test_gradients_reach_camera_and_scene_through_the_grid(latent_run: Path, scene: Scene) -> None:
    """A run as it is used: float32, and samples where the density grid puts them."""
    run = Run.load(latent_run)
    camera = scene.cameras[0]
    pose = camera.camera_to_world.clone().requires_grad_()
    views = run.render_latents(replace(camera, camera_to_world=pose))
    (run.decode(views.latents) - scene.images(torch.tensor([0]))).square().mean().backward()
    assert pose.grad is not None
    assert pose.grad[:, :3].abs().max() > 0
    assert isinstance(run.model.field, torch.nn.Module)
    for name, parameter in run.model.field.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all()


def test_a_camera_is_found_again_by_its_picture(latent_run: Path, scene: Scene) -> None:
    """What gradients in cameras are for: a displaced camera is moved back by descent."""
    run = Run.load(latent_run)
    camera = scene.cameras[0]
    with torch.no_grad():
        target = run.render_latents(camera).latents
    offset = torch.tensor([0.08, -0.06, 0.05])
    shift = offset.clone().requires_grad_()
    optimizer = torch.optim.Adam([shift], lr=0.01)
    for _ in range(60):
        pose = camera.camera_to_world.clone()
        pose[:, :3, 3] = pose[:, :3, 3] + shift
        loss = (run.render_latents(replace(camera, camera_to_world=pose)).latents - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(shift.detach().norm()) < 0.5 * float(offset.norm())


def test_wrong_arguments_are_named(latent_run: Path, scene: Scene) -> None:
    run = Run.load(latent_run)
    with pytest.raises(ArgumentError, match="cameras: are 30x30; expected multiples of the factor 4"):
        run.render_latents(scene.cameras.resized(width=30, height=30))
    with pytest.raises(ArgumentError, match=r"latents: have the shape \(2, 3\)"):
        run.decode(torch.zeros(2, 3))


def test_runs_in_rgb_have_none(tmp_path: Path) -> None:
    run = analytic_run(tmp_path)
    with pytest.raises(InputError, match="was fitted in RGB, which has no latents"):
        run.render_latents(analytic_views().cameras)
