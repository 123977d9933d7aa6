from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.field_checks import check_parameter_groups, fit_sphere, linear_layers, points_and_directions
from latentfields.fields.config import InstantNgpConfig
from latentfields.fields.field import Head
from latentfields.fields.instant_ngp import InstantNgp
from latentfields.fields.spherical_harmonics import spherical_harmonics
from latentfields.rendering.kernels.hash_encoding import hash_encoding_reference

CONFIG = InstantNgpConfig(
    levels=3, log2_table_size=6, coarsest=2, finest=9, hidden=8, geometry_features=5, view_dependent=True
)


def instant_ngp(
    config: InstantNgpConfig = CONFIG, *, channels: int = 5, head: Head = "linear", spread: float = 1.0
) -> InstantNgp:
    """A field whose table is spread out, so that outputs differ from point to point."""
    torch.manual_seed(0)
    field = InstantNgp(config, channels=channels, head=head)
    with torch.no_grad():
        field.table.normal_(0, spread)
    return field


def test_it_is_two_mlps_after_the_encoding() -> None:
    field = instant_ngp()
    points, directions = points_and_directions()
    density, features = field(points, directions)
    first, last = (layer.weight for layer in linear_layers(field.geometry))
    passed = torch.relu(hash_encoding_reference(field.table, points, field.levels) @ first.T) @ last.T
    color = torch.cat([spherical_harmonics(directions), passed], dim=1)
    *hidden, output = linear_layers(field.color)
    for layer in hidden:
        color = torch.relu(color @ layer.weight.T)
    torch.testing.assert_close(density, passed[:, 0].exp())
    torch.testing.assert_close(features, color @ output.weight.T)
    torch.testing.assert_close(field.density(points), density)


def test_learning_rates_and_the_decay_of_the_mlps_alone() -> None:
    field = instant_ngp(replace(CONFIG, table_learning_rate=0.02, mlp_learning_rate=0.01, weight_decay=1e-3))
    check_parameter_groups(field, dict.fromkeys(dict(field.named_parameters()), 0.01) | {"table": 0.02})
    decay = {
        id(parameter): group.get("weight_decay", 0.0)
        for group in field.parameter_groups(learning_rate_factor=1.0)
        for parameter in group["params"]  # type: ignore[attr-defined]
    }
    assert decay.pop(id(field.table)) == 0.0
    assert set(decay.values()) == {1e-3}
    assert float(field.regularisation()) == 0.0


def test_the_table_starts_small() -> None:
    torch.manual_seed(0)
    field = InstantNgp(CONFIG, channels=3, head="linear")
    assert 0.9e-4 < float(field.table.detach().abs().max()) <= 1e-4


@pytest.mark.slow
def test_a_short_fit_sees_the_sphere_and_its_colours() -> None:
    """One colour everywhere would be 10 dB, a sphere of its mean colour 13 dB."""
    torch.manual_seed(0)
    config = InstantNgpConfig(levels=4, log2_table_size=12, coarsest=4, finest=32)
    field = InstantNgp(config, channels=3, head="sigmoid")
    assert fit_sphere(field, steps=150) > 25
