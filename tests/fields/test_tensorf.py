from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.field_checks import (
    check_parameter_groups,
    fit_sphere,
    points_and_directions,
)
from latentfields.fields.config import TensorfConfig
from latentfields.fields.field import Head
from latentfields.fields.tensorf import Tensorf, line_features
from latentfields.fields.total_variation import total_variation

CONFIG = TensorfConfig(
    initial_resolution=4,
    final_resolution=8,
    upsample_at=(0.25, 0.5),
    density_components=2,
    appearance_components=3,
    appearance_features=4,
    feature_octaves=2,
    hidden=8,
    view_dependent=True,
)


def tensorf(config: TensorfConfig = CONFIG, *, channels: int = 5, head: Head = "linear") -> Tensorf:
    torch.manual_seed(0)
    return Tensorf(config, channels=channels, head=head)


def dense_components(field: Tensorf) -> Tensor:
    """Every component of every mode as a full grid (x, y, z, mode, R): outer products, entry by entry (Eq. 3)."""
    planes, lines = field.planes.detach(), field.lines.detach()
    k, r = planes.shape[1], planes.shape[-1]
    grid = torch.empty(k, k, k, 3, r, dtype=planes.dtype)
    for x, y, z in product(range(k), repeat=3):
        grid[x, y, z, 0] = planes[0, y, x] * lines[0, z]
        grid[x, y, z, 1] = planes[1, z, x] * lines[1, y]
        grid[x, y, z, 2] = planes[2, z, y] * lines[2, x]
    return grid


def trilinear(grid: Tensor, point: list[float]) -> Tensor:
    """Interpolation of a grid (K, K, K, ...) between cell centres, constant beyond the outermost ones."""
    k = grid.shape[0]
    position = [min(max((coordinate + 1) * k / 2 - 0.5, 0), k - 1) for coordinate in point]
    low = [min(int(coordinate), k - 2) for coordinate in position]
    value = torch.zeros_like(grid[0, 0, 0])
    for corner in product((0, 1), repeat=3):
        weight = 1.0
        for axis, side in enumerate(corner):
            fraction = position[axis] - low[axis]
            weight *= fraction if side else 1 - fraction
        value += weight * grid[low[0] + corner[0], low[1] + corner[1], low[2] + corner[2]]
    return value


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**31 - 1), view_dependent=st.booleans())
def test_it_is_the_decomposed_tensor_read_trilinearly(seed: int, view_dependent: bool) -> None:
    """Density and features from full K^3 grids: Eqs. 9 and 10 and the decoder, one point at a time."""
    field = tensorf(replace(CONFIG, view_dependent=view_dependent)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for factor in (field.planes, field.lines):
            factor.copy_(torch.randn(factor.shape, generator=generator, dtype=torch.float64))
    points = 2.4 * torch.rand(8, 3, generator=generator, dtype=torch.float64) - 1.2
    directions = torch.nn.functional.normalize(torch.randn(8, 3, generator=generator).double(), dim=-1)
    with torch.no_grad():
        density, features = field(points, directions)
    grid = dense_components(field)
    for p in range(len(points)):
        components = trilinear(grid, points[p].tolist())
        total = components[:, :2].sum()
        expected = CONFIG.density_scale * (total + CONFIG.density_shift).exp().log1p()
        torch.testing.assert_close(density[p], expected)
        appearance = field.basis.weight.detach() @ components[:, 2:].reshape(-1)
        inputs = [appearance]
        inputs += [wave(2**k * appearance) for k in range(2) for wave in (torch.sin, torch.cos)]
        if view_dependent:
            inputs += [directions[p]]
            inputs += [wave(2**k * directions[p]) for k in range(2) for wave in (torch.sin, torch.cos)]
        torch.testing.assert_close(features[p], field.decoder(torch.cat(inputs)).detach())


def test_a_line_is_read_along_the_axis_that_its_plane_lacks() -> None:
    lines = torch.arange(15, dtype=torch.float64).view(3, 5, 1)
    x, y, z = 1, 4, 2
    point = (torch.tensor([[x, y, z]], dtype=torch.float64) + 0.5) * 2 / 5 - 1
    expected = torch.stack([lines[0, z], lines[1, y], lines[2, x]])
    torch.testing.assert_close(line_features(lines, point)[0], expected)


def test_the_shift_of_the_paper_starts_with_empty_space() -> None:
    field = tensorf(replace(CONFIG, density_shift=-10.0, density_components=16))
    assert float(field.density(points_and_directions()[0]).detach().max()) < 0.01


def test_regularisation_is_l1_of_the_density_factors_and_total_variation_of_the_planes() -> None:
    weights: dict[str, Any] = {"l1_weight": 0.0, "density_tv_weight": 0.0, "appearance_tv_weight": 0.0}
    density, appearance = tensorf().planes.split([2, 3], dim=-1)
    lines = tensorf().lines[..., :2]
    expected = {
        "l1_weight": density.abs().mean() + lines.abs().mean(),
        "density_tv_weight": total_variation(density),
        "appearance_tv_weight": total_variation(appearance),
    }
    assert tensorf(replace(CONFIG, **weights)).regularisation().item() == 0
    for name, value in expected.items():
        field = tensorf(replace(CONFIG, **(weights | {name: 0.3})))
        torch.testing.assert_close(field.regularisation(), 0.3 * value)


def test_learning_rates_cover_all_parameters_once_and_follow_the_factor() -> None:
    field = tensorf(replace(CONFIG, factors_learning_rate=0.02, network_learning_rate=0.001))
    rates = {name: 0.001 for name, _ in field.named_parameters()} | {"planes": 0.02, "lines": 0.02}
    check_parameter_groups(field, rates)


def test_the_resolutions_of_nerfstudio() -> None:
    moments = (0.2, 0.3, 0.4, 0.55, 0.7)
    field = tensorf(replace(CONFIG, initial_resolution=128, final_resolution=300, upsample_at=moments))
    found = [field.resolution_at(progress) for progress in (0.0, 0.19, *moments, 0.99, 1.0)]
    assert found == [128, 128, 152, 180, 213, 253, 300, 300, 300]


def test_without_moments_the_resolution_stays() -> None:
    field = tensorf(replace(CONFIG, upsample_at=()))
    assert not field.advance(1.0)
    assert field.planes.shape[1] == CONFIG.initial_resolution


def test_upsampling_reads_the_old_factors_at_the_new_cells() -> None:
    field, before = tensorf(), tensorf()
    assert field.advance(0.6)
    assert field.planes.shape == (3, 8, 8, 5)
    assert field.lines.shape == (3, 8, 5)
    centres = (torch.arange(8) + 0.5) / 4 - 1
    points = torch.cartesian_prod(centres, centres, centres)
    torch.testing.assert_close(field.density(points), before.density(points))
    directions = torch.nn.functional.normalize(points, dim=-1)
    torch.testing.assert_close(field(points, directions)[1], before(points, directions)[1])


def test_factors_are_replaced_at_their_moments_and_networks_never() -> None:
    field = tensorf()
    kept = {name: value for name, value in field.named_parameters() if name not in ("planes", "lines")}
    sizes = {}
    for progress in (0.0, 0.2, 0.25, 0.3, 0.5, 0.9, 1.0):
        planes, lines = field.planes, field.lines
        replaced = field.advance(progress)
        assert replaced == (field.planes is not planes) == (field.lines is not lines)
        sizes[progress] = field.planes.shape[1]
        assert not field.advance(progress)
    assert sizes == {0.0: 4, 0.2: 4, 0.25: 6, 0.3: 6, 0.5: 8, 0.9: 8, 1.0: 8}
    now = dict(field.named_parameters())
    assert all(now[name] is value for name, value in kept.items())
    assert all(value.requires_grad and value.is_leaf for value in now.values())


def test_all_moments_may_be_passed_at_once() -> None:
    field = tensorf()
    assert field.advance(1.0)
    assert field.planes.shape[1] == CONFIG.final_resolution


def test_a_saved_field_is_restored_at_the_resolution_it_had_and_goes_on() -> None:
    field = tensorf()
    field.advance(0.3)
    state = field.state_dict()
    restored = Tensorf(CONFIG, channels=5, head="linear")
    restored.resize_to(state)
    restored.load_state_dict(state)
    points, directions = points_and_directions()
    assert torch.equal(restored(points, directions)[1], field(points, directions)[1])
    assert not restored.advance(0.3)
    assert field.advance(0.5)
    assert restored.advance(0.5)
    assert torch.equal(restored.planes, field.planes)


def test_resizing_to_the_same_resolution_keeps_the_parameters() -> None:
    field = tensorf()
    planes = field.planes
    field.resize_to(tensorf().state_dict())
    assert field.planes is planes


@pytest.mark.slow
def test_a_short_fit_to_pictures_of_a_sphere() -> None:
    """One colour everywhere would be 10 dB, a sphere of its mean colour 13 dB."""
    assert fit_sphere(tensorf(TensorfConfig(), channels=3, head="sigmoid"), steps=80) > 24
