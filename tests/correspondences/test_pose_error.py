import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.correspondences.config import Weighting
from latentfields.correspondences.pose_error import absolute_pose_error, pair_weights, unit_spread
from latentfields.errors import InputError


def pose(*, angle: float = 0.0, centre: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> torch.Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    rows = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    matrix[:2, :2] = torch.tensor(rows, dtype=torch.float64)
    matrix[:3, 3] = torch.tensor(centre, dtype=torch.float64)
    return matrix[None]


@settings(max_examples=30)
@given(angle=st.floats(-3.0, 3.0), x=st.floats(-5, 5), z=st.floats(-5, 5), turn=st.floats(-3.0, 3.0))
def test_the_error_is_the_frobenius_norm_in_closed_form_wherever_the_first_camera_is(
    angle: float, x: float, z: float, turn: float
) -> None:
    # Of a rotation by a about one axis, ||R - I||^2 = 4 (1 - cos a); the translation adds its square.
    relative = pose(angle=angle, centre=(x, 0.0, z))
    first = pose(angle=turn, centre=(x, z, 1.0))
    expected = math.sqrt(4 * (1 - math.cos(angle)) + x * x + z * z)
    assert float(absolute_pose_error(first, first @ relative)) == pytest.approx(expected, abs=1e-7)


def test_weights_sum_to_one_and_follow_the_error_or_its_inverse() -> None:
    errors = torch.tensor([1.0, 2.0, 5.0])
    torch.testing.assert_close(pair_weights(errors, weighting="wide"), errors / 8)
    torch.testing.assert_close(pair_weights(errors, weighting="narrow"), torch.tensor([10.0, 5.0, 2.0]) / 17)


@pytest.mark.parametrize("weighting", ["wide", "narrow"])
def test_pairs_without_any_error_share_the_weight(weighting: Weighting) -> None:
    torch.testing.assert_close(pair_weights(torch.zeros(4), weighting=weighting), torch.full((4,), 0.25))


def test_a_scale_of_the_world_does_not_matter() -> None:
    poses = torch.cat([pose(angle=i, centre=(i, 2.0 * i, 1.0)) for i in range(4)])
    larger = poses.clone()
    larger[:, :3, 3] *= 70.0
    scaled = unit_spread(poses, source="s")
    torch.testing.assert_close(scaled, unit_spread(larger, source="s"))
    centres = scaled[:, :3, 3]
    assert float((centres - centres.mean(0)).square().sum(1).mean()) == pytest.approx(1.0)
    assert torch.equal(scaled[:, :3, :3], poses[:, :3, :3])


@pytest.mark.parametrize("centres", [[(3.0, 1.0, 2.0)] * 3, [(0.0, 0.0, 0.0), (float("nan"), 0.0, 0.0)]])
def test_degenerate_poses_are_refused(centres: list[tuple[float, float, float]]) -> None:
    with pytest.raises(InputError, match="scene-7: degenerate poses"):
        unit_spread(torch.cat([pose(angle=0.3, centre=centre) for centre in centres]), source="scene-7")
