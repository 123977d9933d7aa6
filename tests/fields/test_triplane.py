from dataclasses import replace

import torch

from helpers.field_checks import check_parameter_groups, points_and_directions
from latentfields.fields.config import TriPlaneConfig
from latentfields.fields.field import Head
from latentfields.fields.total_variation import total_variation
from latentfields.fields.triplane import TriPlane, direction_features

CONFIG = TriPlaneConfig(resolution=6, features=4, hidden=8)


def triplane(config: TriPlaneConfig = CONFIG, *, channels: int = 5, head: Head = "linear") -> TriPlane:
    torch.manual_seed(0)
    return TriPlane(config, channels=channels, head=head)


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


def test_regularisation_is_the_weighted_total_variation_of_the_planes() -> None:
    field = triplane(replace(CONFIG, tv_weight=0.3))
    torch.testing.assert_close(field.regularisation(), 0.3 * total_variation(field.planes))


def test_learning_rates_cover_all_parameters_once_and_follow_the_factor() -> None:
    config = replace(CONFIG, planes_learning_rate=0.02, mlp_learning_rate=0.005)
    field = triplane(config)
    check_parameter_groups(field, dict.fromkeys(dict(field.named_parameters()), 0.005) | {"planes": 0.02})


def test_direction_features_are_orthogonal_over_the_sphere() -> None:
    directions = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = direction_features(torch.nn.functional.normalize(directions, dim=-1))
    gram = features.T @ features / len(features)
    off_diagonal = gram - torch.diag(gram.diag())
    assert off_diagonal.abs().max() < 0.01 * gram.diag().max()
    assert features.mean(dim=0).abs().max() < 0.01
