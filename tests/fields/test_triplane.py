from dataclasses import replace

import pytest
import torch
from torch import Tensor

from latentfields.fields.config import TriPlaneConfig
from latentfields.fields.field import Head
from latentfields.fields.total_variation import total_variation
from latentfields.fields.triplane import TriPlane, direction_features

CONFIG = TriPlaneConfig(resolution=6, features=4, hidden=8)


def triplane(config: TriPlaneConfig = CONFIG, *, channels: int = 5, head: Head = "linear") -> TriPlane:
    torch.manual_seed(0)
    return TriPlane(config, channels=channels, head=head)


def points_and_directions(count: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    points = 2 * torch.rand(count, 3, generator=generator) - 1
    return points, torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_any_number_of_channels(channels: int) -> None:
    field = triplane(channels=channels)
    density, features = field(*points_and_directions())
    assert density.shape == (20,)
    assert features.shape == (20, channels)
    assert (density > 0).all()
    assert field.channels == channels


def test_density_alone_is_the_density_of_the_whole() -> None:
    field = triplane()
    points, directions = points_and_directions()
    torch.testing.assert_close(field.density(points), field(points, directions)[0])


@pytest.mark.parametrize("view_dependent", [False, True])
def test_only_a_view_dependent_field_looks_at_directions(view_dependent: bool) -> None:
    field = triplane(replace(CONFIG, view_dependent=view_dependent))
    points, directions = points_and_directions()
    density, features = field(points, directions)
    other_density, other_features = field(points, -directions)
    assert torch.equal(density, other_density)
    assert torch.equal(features, other_features) != view_dependent


def test_the_sigmoid_head_squashes_the_same_output() -> None:
    points, directions = points_and_directions()
    linear, squashed = (triplane(head=head)(points, directions)[1] for head in ("linear", "sigmoid"))
    torch.testing.assert_close(squashed, torch.sigmoid(linear))


def test_the_planes_are_summed_at_the_projections_of_a_point() -> None:
    field = triplane()
    with torch.no_grad():
        field.planes[1:] = 0
    points, directions = points_and_directions()
    moved = points.clone()
    moved[:, 2] = -points[:, 2]
    # Only the plane xy is left: z has no influence.
    assert torch.equal(field(points, directions)[1], field(moved, directions)[1])
    moved[:, 0] = -points[:, 0]
    assert not torch.equal(field(points, directions)[1], field(moved, directions)[1])


def test_gradients_match_finite_differences() -> None:
    field = triplane(replace(CONFIG, view_dependent=True), channels=2).double()
    points, directions = (value.double() for value in points_and_directions(4))
    names = [name for name, _ in field.named_parameters()]

    def outputs(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values, strict=True))
        density, features = torch.func.functional_call(field, parameters, (points, directions))
        return torch.cat([density[:, None], features], dim=1)

    inputs = tuple(p.detach().clone().requires_grad_() for p in field.parameters())
    assert torch.autograd.gradcheck(outputs, inputs)


def test_regularisation_is_the_weighted_total_variation_of_the_planes() -> None:
    field = triplane(replace(CONFIG, tv_weight=0.3))
    torch.testing.assert_close(field.regularisation(), 0.3 * total_variation(field.planes))


def test_learning_rates_cover_all_parameters_once_and_follow_the_factor() -> None:
    config = replace(CONFIG, planes_learning_rate=0.02, mlp_learning_rate=0.005)
    field = triplane(config)
    groups = field.parameter_groups(learning_rate_factor=0.5)
    listed = [parameter for group in groups for parameter in group["params"]]  # type: ignore[attr-defined]
    assert sorted(map(id, listed)) == sorted(map(id, field.parameters()))
    rate = {id(p): group["lr"] for group in groups for p in group["params"]}  # type: ignore[attr-defined]
    assert rate[id(field.planes)] == pytest.approx(0.01)
    assert rate[id(field.head.color[1].weight)] == pytest.approx(0.0025)


def test_direction_features_are_orthogonal_over_the_sphere() -> None:
    directions = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = direction_features(torch.nn.functional.normalize(directions, dim=-1))
    gram = features.T @ features / len(features)
    off_diagonal = gram - torch.diag(gram.diag())
    assert off_diagonal.abs().max() < 0.01 * gram.diag().max()
    assert features.mean(dim=0).abs().max() < 0.01
