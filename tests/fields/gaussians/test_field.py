"""Gaussians' features, activations, learning rates, and where they start."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from helpers.tiny import RADIUS
from latentfields.fields.config import GaussiansConfig
from latentfields.fields.densification import GradientDensificationConfig, McmcDensificationConfig
from latentfields.fields.gaussians.field import HARMONIC_0, PARAMETERS, GaussianField
from latentfields.fields.gaussians.initialisation import initialise, nearest_distances
from latentfields.fields.spherical_harmonics import spherical_harmonics
from latentfields.scenes.scene import Scene


def random_field(count: int, *, channels: int = 4, head: str = "linear", degree: int = 2) -> GaussianField:
    torch.manual_seed(0)
    field = GaussianField(GaussiansConfig(degree=degree), channels=channels, head=head)  # type: ignore[arg-type]
    field.set_rows({name: torch.randn(count, *getattr(field, name).shape[1:]) for name in PARAMETERS})
    return field


def start(scene: Scene, config: GaussiansConfig, *, seed: int = 0) -> GaussianField:
    field = GaussianField(config, channels=3, head="sigmoid")
    initialise(field, scene, generator=torch.Generator().manual_seed(seed))
    return field


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_features_are_sums_over_the_active_degrees(degree: int) -> None:
    field = random_field(6, degree=3)
    field.active_degree = degree
    center = torch.tensor([0.5, -2.0, 1.0])
    directions = torch.nn.functional.normalize(field.means.detach() - center, dim=-1)
    basis = spherical_harmonics(directions)
    coefficients = torch.cat([field.features_dc, field.features_rest], dim=1)
    expected = torch.zeros(6, 4)
    for harmonic in range((degree + 1) ** 2):
        expected += basis[:, harmonic, None] * coefficients[:, harmonic].detach()
    torch.testing.assert_close(field.features(center).detach(), expected)


def test_colours_are_as_in_3dgs_and_latents_have_no_offset() -> None:
    colors, latents = random_field(5, head="sigmoid", degree=0), random_field(5, degree=0)
    center = torch.zeros(3)
    for field in (colors, latents):
        field.features_dc.data *= 4
    plain = HARMONIC_0 * latents.features_dc[:, 0]
    assert torch.equal(latents.features(center), plain)
    assert torch.equal(colors.features(center), (plain + 0.5).clamp(min=0))
    assert (plain + 0.5 < 0).any()


def test_degrees_become_active_one_after_the_other() -> None:
    field = GaussianField(GaussiansConfig(degree=2, degree_every=0.1), channels=3, head="linear")
    seen = []
    for progress in (0.0, 0.05, 0.1, 0.15, 0.2, 0.9, 1.0):
        assert not field.advance(progress)
        seen.append(field.active_degree)
    assert seen == [0, 0, 1, 1, 2, 2, 2]
    at_once = GaussianField(GaussiansConfig(degree=2, degree_every=0.0), channels=3, head="linear")
    at_once.advance(0.0)
    assert at_once.active_degree == 2


def test_every_parameter_has_one_group_and_only_means_decay() -> None:
    field = random_field(3)
    groups = field.parameter_groups(learning_rate_factor=0.5)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]  # type: ignore[attr-defined]
    assert sorted(grouped) == sorted(id(parameter) for parameter in field.parameters())
    assert groups[0]["lr"] == 0.5 * field.config.means_learning_rate
    assert [group["decay"] for group in groups] == [field.config.means_decay, 1, 1, 1, 1, 1]


def test_colors_have_rates_of_their_own() -> None:
    config = GaussiansConfig(colors_factor=0.3)
    latents = GaussianField(config, channels=3, head="linear").parameter_groups(learning_rate_factor=0.5)
    colors = GaussianField(config, channels=3, head="sigmoid").parameter_groups(learning_rate_factor=0.5)
    assert latents[3]["lr"] == 0.5 * config.opacities_learning_rate
    alike = GaussianField(config, channels=3, head="linear").parameter_groups(learning_rate_factor=0.5 * 0.3)
    assert [group["lr"] for group in colors] == [group["lr"] for group in alike]


def test_only_mcmc_regularises() -> None:
    field = random_field(9)
    assert float(field.regularisation()) == 0
    options = McmcDensificationConfig(opacity_weight=0.3, scale_weight=0.7)
    field.config = replace(field.config, densification=options)
    expected = 0.3 * torch.sigmoid(field.opacities).mean() + 0.7 * field.scales.exp().mean()
    torch.testing.assert_close(field.regularisation(), expected)


def test_a_saved_state_gives_the_number_of_gaussians() -> None:
    small, large = random_field(3), random_field(8)
    small.resize_to(large.state_dict())
    small.load_state_dict(large.state_dict())
    assert torch.equal(small.means, large.means)
    assert len(small) == 8


def test_nearest_distances_on_a_line() -> None:
    points = torch.tensor([0.0, 1.0, 3.0, 7.0, 15.0])[:, None] * torch.tensor([1.0, 0.0, 0.0])
    expected = torch.tensor(
        [(1 + 3 + 7) / 3, (1 + 2 + 6) / 3, (2 + 3 + 4) / 3, (4 + 6 + 7) / 3, (8 + 12 + 14) / 3]
    )
    torch.testing.assert_close(nearest_distances(points), expected)
    assert torch.equal(nearest_distances(points[:1]), torch.ones(1))
    torch.testing.assert_close(nearest_distances(points[:2]), torch.ones(2))


def test_nearest_distances_of_many_close_points_far_from_the_origin() -> None:
    torch.manual_seed(0)
    points = 5 + 1e-3 * torch.randn(300, 3)
    exact = (points[:, None].double() - points.double()).norm(dim=-1).sort(dim=1).values[:, 1:4].mean(dim=1)
    torch.testing.assert_close(nearest_distances(points), exact.float())


def test_nearest_distances_of_as_many_points_as_captures_have() -> None:
    points = torch.rand(50_000, 3)
    start = time.process_time()
    nearest_distances(points)
    # Distances between all pairs of them take ten seconds.
    assert time.process_time() - start < 3


def test_gaussians_start_at_the_sparse_points_of_the_scene(scene: Scene) -> None:
    torch.manual_seed(1)
    points = 3 * torch.randn(50, 3)
    colors = torch.randint(0, 256, (50, 3), dtype=torch.uint8)
    sparse = replace(scene, points=points, point_colors=colors)
    field = start(sparse, GaussiansConfig(degree=1))
    # Those outside of the box, too.
    assert torch.equal(field.means, points)
    torch.testing.assert_close(field.features(torch.zeros(3)).detach(), colors.float() / 255)
    torch.testing.assert_close(field.gaussians().scales[:, 0].detach(), nearest_distances(points))
    torch.testing.assert_close(field.gaussians().opacities.detach(), torch.full((50,), 0.1))
    few = start(sparse, GaussiansConfig(densification=GradientDensificationConfig(most=20)))
    assert len(few) == 20
    assert all((points == mean).all(-1).any() for mean in few.means)


def test_without_points_gaussians_start_in_the_visual_hull_or_in_the_box(scene: Scene) -> None:
    config = GaussiansConfig(initial=2000)
    field = start(scene, config)
    scale, center = float(scene.world_to_scene[0, 0]), scene.world_to_scene[:3, 3]
    radii = (field.means - center).norm(dim=-1) / (scale * RADIUS)
    assert len(field) == 2000
    # The hull of a few outlines is a little larger than the sphere.
    assert (radii < 1.1).float().mean() > 0.8
    assert radii.min() < 0.3
    box = start(replace(scene, alpha=None), config).means.detach()
    assert box.abs().max() <= 1
    assert box.abs().amax(dim=0).min() > 0.95
    torch.testing.assert_close(box.mean(0), torch.zeros(3), atol=0.06, rtol=0)


def test_the_start_depends_on_the_seed_alone(scene: Scene) -> None:
    config = GaussiansConfig(initial=100)
    first, again, other = start(scene, config), start(scene, config), start(scene, config, seed=1)
    assert torch.equal(first.means, again.means)
    assert not torch.equal(first.means, other.means)
