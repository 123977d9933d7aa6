"""K-Planes against a version that loops over points, scales and planes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from helpers.field_checks import check_parameter_groups, points_and_directions
from latentfields.fields.config import KPlanesConfig
from latentfields.fields.field import Head
from latentfields.fields.kplanes import KPlanes, KPlanesProposal, plane_product
from latentfields.fields.total_variation import total_variation

CONFIG = KPlanesConfig(resolution=5, scales=(1, 3), features=4, hidden=8, geometry_features=3)


def kplanes(config: KPlanesConfig = CONFIG, *, channels: int = 5, head: Head = "linear") -> KPlanes:
    torch.manual_seed(0)
    return KPlanes(config, channels=channels, head=head)


def bilinear(plane: Tensor, column: float, row: float) -> Tensor:
    """One value (F,) of a plane (K, K, F) at coordinates in [-1, 1], the border repeated."""
    k = plane.shape[0]
    x, y = (min(max((c + 1) * k / 2 - 0.5, 0.0), k - 1.0) for c in (column, row))
    out = torch.zeros(plane.shape[-1])
    for i in range(k):
        for j in range(k):
            out += max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j)) * plane[i, j]
    return out


def slow_product(planes: Tensor, points: Tensor) -> Tensor:
    rows = []
    for x, y, z in points.tolist():
        rows.append(bilinear(planes[0], x, y) * bilinear(planes[1], x, z) * bilinear(planes[2], y, z))
    return torch.stack(rows)


@torch.no_grad()
def slow_density_and_output(field: KPlanes, points: Tensor) -> tuple[Tensor, Tensor]:
    parts = [slow_product(planes, points) for planes in field.planes]
    hidden = field.geometry(torch.cat(parts, dim=-1))
    return (hidden[:, 0] - 1).exp(), field.color(hidden[:, 1:])


def test_a_slow_obvious_version_agrees() -> None:
    field = kplanes()
    points, directions = points_and_directions()
    points = torch.cat([points, torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 1.0]])])
    directions = torch.cat([directions, directions[:2]])
    density, output = field(points, directions)
    slow_density, slow_output = slow_density_and_output(field, points)
    torch.testing.assert_close(density, slow_density)
    torch.testing.assert_close(output, slow_output)
    torch.testing.assert_close(field.density(points), slow_density)


def test_the_product_needs_all_three_planes() -> None:
    planes = kplanes().planes[1].detach().clone()
    points, _ = points_and_directions()
    for plane in range(3):
        emptied = planes.clone()
        emptied[plane] = 0
        assert (plane_product(emptied, points) == 0).all()


def test_regularisation_is_the_mean_total_variation_of_the_scales() -> None:
    field = kplanes(replace(CONFIG, tv_weight=0.3))
    expected = 0.3 * (total_variation(field.planes[0]) + total_variation(field.planes[1])) / 2
    torch.testing.assert_close(field.regularisation(), expected)


def test_learning_rates_cover_all_parameters_once_and_follow_the_factor() -> None:
    field = kplanes(replace(CONFIG, planes_learning_rate=0.02, mlp_learning_rate=0.005))
    planes = dict.fromkeys(("planes.0", "planes.1"), 0.02)
    check_parameter_groups(field, dict.fromkeys(dict(field.named_parameters()), 0.005) | planes)


def test_a_proposal_network_is_a_density_of_one_product() -> None:
    torch.manual_seed(0)
    narrow = KPlanesProposal(
        resolution=6, features=3, hidden=4, learning_rate=0.1, tv_weight=0.5, initial_range=(0.1, 0.15)
    ).planes.detach()
    assert 0.1 <= float(narrow.min()) < 0.105
    assert 0.145 < float(narrow.max()) <= 0.15
    proposal = KPlanesProposal(resolution=6, features=3, hidden=4, learning_rate=0.1, tv_weight=0.5)
    points, _ = points_and_directions()
    with torch.no_grad():
        expected = (proposal.mlp(slow_product(proposal.planes, points))[:, 0] - 1).exp()
    torch.testing.assert_close(proposal.density(points), expected)
    torch.testing.assert_close(proposal.regularisation(), 0.5 * total_variation(proposal.planes))
    (group,) = proposal.parameter_groups(learning_rate_factor=0.2)
    assert group["lr"] == pytest.approx(0.02)
    assert set(map(id, group["params"])) == set(map(id, proposal.parameters()))  # type: ignore[call-overload]
