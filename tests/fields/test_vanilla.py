from dataclasses import replace

import pytest
import torch
from torch import Tensor

from helpers.field_checks import (
    check_parameter_groups,
    fit_sphere,
    linear_layers,
    points_and_directions,
)
from latentfields.fields.config import VanillaConfig
from latentfields.fields.field import Head
from latentfields.fields.vanilla import Vanilla

CONFIG = VanillaConfig(
    layers=3,
    width=8,
    skip_after=2,
    position_octaves=2,
    view_dependent=True,
    direction_octaves=1,
    branch_width=5,
    density_shift=-0.5,
    density_scale=2.0,
)
PAPER_SIZE = VanillaConfig(
    layers=8,
    width=256,
    skip_after=5,
    position_octaves=10,
    view_dependent=True,
    direction_octaves=4,
    branch_width=128,
)


def vanilla(config: VanillaConfig = CONFIG, *, channels: int = 5, head: Head = "linear") -> Vanilla:
    torch.manual_seed(0)
    return Vanilla(config, channels=channels, head=head)


def encoded(values: list[float], octaves: int) -> Tensor:
    row = torch.tensor(values)
    parts = [row]
    for k in range(octaves):
        angle = torch.pi * 2**k * row
        parts += [angle.sin(), angle.cos()]
    return torch.cat(parts)


def test_it_is_the_network_of_figure_7() -> None:
    """Layer by layer for one point, the encoded position joining behind the second layer."""
    field = vanilla()
    points, directions = points_and_directions(6)
    density, features = field(points, directions)
    weights = dict(field.named_parameters())

    def layer(name: str, inputs: Tensor) -> Tensor:
        return weights[f"{name}.weight"] @ inputs + weights[f"{name}.bias"]

    for p in range(len(points)):
        position = encoded(points[p].tolist(), 2)
        first = layer("trunk.0", position).clamp(min=0)
        second = layer("trunk.1", first).clamp(min=0)
        third = layer("trunk.2", torch.cat([position, second])).clamp(min=0)
        shifted = layer("density_output", third)[0] - 0.5
        torch.testing.assert_close(density[p], 2 * shifted.exp().log1p())
        direction = encoded(directions[p].tolist(), 1)
        branch = layer("branch", torch.cat([layer("bottleneck", third), direction])).clamp(min=0)
        torch.testing.assert_close(features[p], layer("output", branch))


def test_the_size_of_the_paper() -> None:
    field = vanilla(PAPER_SIZE, channels=3)
    shapes = [tuple(layer.weight.shape) for layer in linear_layers(field.trunk)]
    assert shapes == [(256, 63), *[(256, 256)] * 4, (256, 256 + 63), *[(256, 256)] * 2]
    assert tuple(field.branch.weight.shape) == (128, 256 + 27)
    # As many weights as one network of the authors' code: 595 844.
    assert sum(parameter.numel() for parameter in field.parameters()) == 595_844


@pytest.mark.parametrize("skip_after", [0, 3, 7])
def test_without_a_skip_within_the_trunk_no_layer_sees_the_position_again(skip_after: int) -> None:
    field = vanilla(replace(CONFIG, skip_after=skip_after))
    shapes = [tuple(layer.weight.shape) for layer in linear_layers(field.trunk)]
    assert shapes == [(8, 15), (8, 8), (8, 8)]
    assert field(*points_and_directions())[1].isfinite().all()


def test_there_is_no_regulariser() -> None:
    assert vanilla().regularisation().item() == 0


def test_learning_rates_cover_all_parameters_once_and_follow_the_factor() -> None:
    field = vanilla(replace(CONFIG, learning_rate=0.004))
    check_parameter_groups(field, {name: 0.004 for name, _ in field.named_parameters()})


@pytest.mark.slow
def test_a_short_fit_to_pictures_of_a_sphere() -> None:
    """One colour everywhere would be 10 dB, a sphere of its mean colour 13 dB."""
    assert fit_sphere(vanilla(VanillaConfig(), channels=3, head="sigmoid"), steps=100) > 20
