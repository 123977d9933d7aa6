"""Scenes without bounds: what lies beyond the box is seen where the field covers all space, and lost where not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from helpers.tiny import TINY_FIT
from helpers.unbounded_scene import ball_scene, distances
from latentfields import FitConfig, preset
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.fields.config import (
    FieldConfig,
    FieldName,
    GaussiansConfig,
    InstantNgpConfig,
    KPlanesConfig,
    RayFieldConfig,
    TensorfConfig,
    TriPlaneConfig,
    VanillaConfig,
)
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.feature_scene import FeatureScene
from latentfields.latent_nerf.feature_trainer import new_trainer
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.losses import point_depth_loss
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.rendering.config import (
    EvenSamplingConfig,
    GridSamplingConfig,
    HierarchicalSamplingConfig,
    ProposalSamplingConfig,
    RaySampling,
    SplattingConfig,
)
from latentfields.scenes.scene import Scene

KPLANES = KPlanesConfig(resolution=8, scales=(1, 2), features=8, hidden=32, tv_weight=1e-3)
FIELDS: Mapping[str, RayFieldConfig] = {
    "kplanes": KPLANES,
    "triplane": TriPlaneConfig(resolution=16, features=16, hidden=32),
    "tensorf": TensorfConfig(
        initial_resolution=16,
        final_resolution=16,
        upsample_at=(),
        density_components=4,
        appearance_components=8,
        hidden=32,
    ),
    "instant-ngp": InstantNgpConfig(levels=4, log2_table_size=12, coarsest=8, finest=24, hidden=32),
    "vanilla": VanillaConfig(layers=3, width=48, skip_after=0, position_octaves=3),
}
SAMPLINGS: Mapping[str, RaySampling] = {
    "even": EvenSamplingConfig(samples=16),
    "hierarchical": HierarchicalSamplingConfig(coarse_samples=12, fine_samples=12),
    "proposal": ProposalSamplingConfig(
        samples=12, proposal_samples=(24,), resolutions=(12,), features=4, hidden=16, anneal_steps=50
    ),
}
MARGIN = 2.0
"""Decibels that test views are better by with the contraction, after a second. Without it they show the horizon's mean
colour, however long a fit takes."""
MEAN_COLOR = 11.0
"""Decibels of that colour."""


def trained(config: FitConfig, *, bounds: str, steps: int) -> LatentNerfTrainer:
    scene = ball_scene(bounds=bounds)
    config = replace(config, space="rgb").with_steps(supervision=steps, alignment=0)
    trainer = LatentNerfTrainer(new_model(scene, None, config), scene, config)
    for index in range(steps):
        trainer.step(index, index / steps)
    return trainer


def rays(field: FieldConfig, **changes: object) -> FitConfig:
    return replace(TINY_FIT, field=field, batch_rays=512, **changes)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
def test_every_field_sees_the_horizon_with_contraction(name: str) -> None:
    config = rays(FIELDS[name])
    bounded, unbounded = (
        trained(config, bounds=bounds, steps=70).test_psnr(None) for bounds in ("object", "scene")
    )
    assert unbounded > bounded + MARGIN


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLINGS)
def test_every_sampler_follows_contracted_rays(name: str) -> None:
    trainer = trained(rays(KPLANES, sampling=SAMPLINGS[name]), bounds="scene", steps=65)
    assert trainer.test_psnr(None) > MEAN_COLOR + MARGIN


@pytest.mark.slow
def test_gaussians_see_it_with_a_sky() -> None:
    # In a hurry: sixty steps.
    field = GaussiansConfig(initial=200, sky=400, colors_factor=1.0)
    config = replace(TINY_FIT, field=field, sampling=SplattingConfig())
    trainer = trained(config, bounds="scene", steps=60)
    assert isinstance(trainer.model, LatentGaussians)
    assert trainer.test_psnr(None) > MEAN_COLOR + MARGIN


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_of_all_space_has_cells_as_small_as_before_in_the_box(name: str) -> None:
    config = rays(FIELDS[name])
    scene = ball_scene(bounds="scene")
    model = new_model(scene, None, replace(config, space="rgb"))
    assert isinstance(model, LatentNerf)
    assert model.contracted
    larger = FIELDS[name].unbounded()
    assert larger.unbounded() != larger != FIELDS[name]
    bounded = new_model(ball_scene(bounds="object"), None, replace(config, space="rgb"))
    assert isinstance(bounded, LatentNerf)
    assert not bounded.contracted
    sizes = [sum(p.numel() for p in each.field.parameters()) for each in (model, bounded)]
    assert sizes[0] > sizes[1]


def test_densities_of_the_box_are_per_unit_of_the_normalised_frame() -> None:
    model = new_model(ball_scene(bounds="scene"), None, replace(rays(KPLANES), space="rgb"))
    assert isinstance(model, LatentNerf)
    points = 2 * torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) - 1
    # The box is half of the field's cube: the same optical depth on twice the length.
    torch.testing.assert_close(model.density(points), model.field.density(points / 2) / 2)


def test_latents_and_colours_of_one_geometry_follow_the_same_curves(autoencoder: Autoencoder) -> None:
    config = replace(rays(KPLANES), space="both", subpixels=1)
    scene = ball_scene(bounds="scene")
    model = new_model(scene, autoencoder, config)
    assert isinstance(model, FeatureScene)
    assert model.bounds == model.colors.bounds == "scene"
    cameras = scene.cameras[:2].resized(width=6, height=6)
    latents, colors = (each.render_pixels(cameras, None) for each in (model, model.colors))
    torch.testing.assert_close(latents.depth, colors.depth)
    trainer = new_trainer(model, scene, config.with_steps(supervision=2, alignment=2))
    for index in range(4):
        trainer.step(index, index / 4)


@pytest.mark.parametrize("field", ["kplanes", "gaussians"])
def test_steps_of_a_scene_without_bounds_see_a_quarter_of_rays_and_images(field: FieldName) -> None:
    config = replace(preset(field), batch_rays=4096, batch_images=2)
    assert config.in_batch(config.batch_rays, bounds="object") == 4096
    assert config.in_batch(config.batch_rays, bounds="scene") == 1024
    assert config.in_batch(config.batch_images, bounds="scene") == 1


def test_a_vanilla_nerf_makes_many_small_steps() -> None:
    config = FitConfig(field=VanillaConfig())
    counts = {4096: 256, 16_384: 1024, 1024: 256, 512: 128, 4: 1, 1: 1}
    assert {count: config.in_batch(count, bounds="scene") for count in counts} == counts
    assert config.in_batch(4096, bounds="object") == 4096
    grid = GridSamplingConfig(samples=16, bins=48, grid_every=16)
    assert VanillaConfig().unbounded_sampling(grid) == replace(grid, bins=96, grid_every=32)
    even = EvenSamplingConfig(samples=8)
    assert VanillaConfig().unbounded_sampling(even) == even.unbounded()
    assert KPlanesConfig().unbounded_sampling(grid) == grid.unbounded()


def test_a_tensorf_without_bounds_learns_faster() -> None:
    usual = TensorfConfig()
    fast = usual.unbounded()
    assert (fast.factors_learning_rate, fast.network_learning_rate) == pytest.approx((0.1, 5e-3))
    assert (fast.initial_resolution, fast.final_resolution) == (64, 128)


def test_the_loss_of_points_is_of_logarithms() -> None:
    known = torch.tensor([1.0, 2.0, 8.0])
    assert float(point_depth_loss(known, known)) == 0
    assert float(point_depth_loss(2 * known, known)) == pytest.approx(0.6931, abs=1e-4)
    assert float(point_depth_loss(known / 2, known)) == pytest.approx(0.6931, abs=1e-4)
    assert point_depth_loss(torch.zeros(3), known).isfinite()


@pytest.mark.slow
@pytest.mark.parametrize("field", ["kplanes", "gaussians"])
def test_depth_of_points_brings_depth_closer(field: str) -> None:
    errors = []
    for weight in (0.0, 0.1):
        if field == "kplanes":
            config = rays(KPLANES, point_depth_weight=weight)
        else:
            config = replace(
                TINY_FIT,
                field=GaussiansConfig(initial=200, sky=200),
                sampling=SplattingConfig(),
                point_depth_weight=weight,
            )
        trainer = trained(config, bounds="scene", steps=60)
        cameras = trainer.scene.cameras[trainer.scene.indices("test")]
        _, seen = trainer.model.render(cameras)
        through = cameras.rays()
        exact = distances(through.origins, through.directions)
        errors.append(float((seen.depth[:, 0] / exact).log().abs().mean()))
    assert errors[1] < 0.8 * errors[0]


def centers(scene: Scene, *, sky: int) -> Tensor:
    """Of the Gaussians that a fit of `scene` starts with."""
    field = GaussiansConfig(initial=200, sky=sky)
    model = new_model(scene, None, replace(TINY_FIT, space="rgb", field=field, sampling=SplattingConfig()))
    assert isinstance(model, LatentGaussians)
    return model.field.means.detach()


def test_the_sky_is_seen_and_behind_everything() -> None:
    scene = ball_scene(bounds="scene")
    assert scene.points is not None
    assert torch.equal(centers(scene, sky=0), scene.points)
    added = centers(scene, sky=500)[len(scene.points) :]
    assert 50 < len(added) <= 500
    assert added.norm(dim=-1).min() > 3 * scene.points.norm(dim=-1).max()
    # An object has none.
    assert len(centers(ball_scene(bounds="object"), sky=500)) == len(scene.points)


def test_grids_of_samples_grow_with_the_cube() -> None:
    grid = GridSamplingConfig(samples=16, bins=48).unbounded()
    assert (grid.samples, grid.bins, grid.grid_resolution) == (32, 96, GridSamplingConfig().grid_resolution)
    proposal = ProposalSamplingConfig(samples=8, proposal_samples=(16,), resolutions=(32,)).unbounded()
    assert (proposal.samples, proposal.proposal_samples, proposal.resolutions) == (16, (32,), (64,))
