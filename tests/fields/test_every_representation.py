"""What every radiance field has to do, whatever its representation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.field_checks import check_gradients, points_and_directions
from latentfields.fields.config import (
    FieldConfig,
    InstantNgpConfig,
    KPlanesConfig,
    RayFieldConfig,
    TensorfConfig,
    TriPlaneConfig,
    VanillaConfig,
)
from latentfields.fields.field import Field, Head, in_precision
from latentfields.fields.registry import new_field

TINY: tuple[FieldConfig, ...] = (
    TriPlaneConfig(resolution=3, features=3, hidden=4, view_dependent=True),
    KPlanesConfig(
        resolution=2, scales=(1, 2), features=3, hidden=4, geometry_features=3, view_dependent=True
    ),
    TensorfConfig(
        initial_resolution=3,
        density_components=2,
        appearance_components=2,
        appearance_features=2,
        feature_octaves=1,
        hidden=4,
        view_dependent=True,
    ),
    InstantNgpConfig(
        levels=2, log2_table_size=5, coarsest=2, finest=5, hidden=6, geometry_features=4, view_dependent=True
    ),
    VanillaConfig(
        layers=3,
        width=6,
        skip_after=2,
        position_octaves=2,
        view_dependent=True,
        direction_octaves=1,
        branch_width=4,
    ),
)
every_field = pytest.mark.parametrize("config", TINY, ids=lambda config: config.kind)


def made(config: RayFieldConfig, *, channels: int = 5, head: Head = "linear") -> Field:
    """A field whose weights are spread out, so that outputs differ from point to point."""
    torch.manual_seed(0)
    field = new_field(config, channels=channels, head=head)
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return field


@every_field
@pytest.mark.parametrize("channels", [1, 3, 16])
def test_any_number_of_channels(config: RayFieldConfig, channels: int) -> None:
    field = made(config, channels=channels)
    density, features = field(*points_and_directions())
    assert density.shape == (20,)
    assert features.shape == (20, channels)
    assert (density > 0).all()
    assert field.channels == channels
    assert density.std() > 0
    assert (features.std(dim=0) > 0).all()


@every_field
def test_no_points_have_no_features(config: RayFieldConfig) -> None:
    density, features = made(config)(torch.zeros(0, 3), torch.zeros(0, 3))
    assert density.shape == (0,)
    assert features.shape == (0, 5)


@every_field
def test_density_alone_is_the_density_of_the_whole(config: RayFieldConfig) -> None:
    field = made(config)
    points, directions = points_and_directions()
    torch.testing.assert_close(field.density(points), field(points, directions)[0])


@every_field
@pytest.mark.parametrize("view_dependent", [False, True])
def test_only_a_view_dependent_field_looks_at_directions(
    config: RayFieldConfig, view_dependent: bool
) -> None:
    field = made(replace(config, view_dependent=view_dependent))
    points, directions = points_and_directions()
    density, features = field(points, directions)
    other_density, other_features = field(points, -directions)
    assert torch.equal(density, other_density)
    assert torch.equal(features, other_features) != view_dependent


@every_field
def test_the_sigmoid_head_squashes_the_same_output(config: RayFieldConfig) -> None:
    points, directions = points_and_directions()
    linear, squashed = (made(config, head=head)(points, directions)[1] for head in ("linear", "sigmoid"))
    torch.testing.assert_close(squashed, torch.sigmoid(linear))


@every_field
def test_gradients_match_finite_differences(config: RayFieldConfig) -> None:
    check_gradients(made(config, channels=2))


@every_field
@torch.no_grad()
def test_rounded_layers_are_near_and_give_float32(config: RayFieldConfig) -> None:
    field = made(config)
    points, directions = points_and_directions(500)
    rounded = in_precision(field, torch.bfloat16)
    for found, exact in zip(rounded(points, directions), field(points, directions), strict=True):
        assert found.dtype == torch.float32
        assert (found - exact).square().mean().sqrt() < 0.02 * exact.square().mean().sqrt()
    assert not torch.equal(found, exact)
    density = rounded.density(points)
    assert density.dtype == torch.float32
    torch.testing.assert_close(density, field.density(points), rtol=0.1, atol=0.02)


@every_field
def test_only_fields_that_can_are_rounded(config: RayFieldConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    field = made(config)
    assert in_precision(field, torch.float32) is field
    monkeypatch.setattr(type(field), "rounds", False)
    assert in_precision(field, torch.bfloat16) is field
