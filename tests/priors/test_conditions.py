from __future__ import annotations

import pytest
import torch

from helpers.tiny import sphere_cameras
from latentfields.priors.conditions import (
    UNKNOWN,
    VIEW_FEATURES,
    Condition,
    camera_directions,
    condition,
    direction,
    elevations,
    view_features,
)

SHAPE = (3, 4, 8, 8)


def told() -> Condition:
    directions = torch.stack([direction(elevation=10.0 * i, azimuth=50.0 * i) for i in range(3)])
    return condition(
        directions,
        shape=SHAPE,
        class_index=1,
        reference=torch.ones(SHAPE[1:]),
        reference_direction=direction(elevation=20, azimuth=0),
    )


def test_directions_are_those_of_elevation_and_azimuth() -> None:
    torch.testing.assert_close(direction(elevation=0, azimuth=0), torch.tensor([1.0, 0, 0]))
    torch.testing.assert_close(direction(elevation=0, azimuth=90), torch.tensor([0.0, 1, 0]))
    torch.testing.assert_close(direction(elevation=90, azimuth=17), torch.tensor([0.0, 0, 1]))
    assert elevations(direction(elevation=-35, azimuth=5)[None]).item() == pytest.approx(-35, abs=1e-3)


def test_cameras_that_look_at_the_origin_stand_where_they_look_from() -> None:
    cameras = sphere_cameras(5)
    expected = torch.nn.functional.normalize(cameras.centers, dim=-1)
    torch.testing.assert_close(camera_directions(cameras), expected)


def test_features_are_bounded_and_tell_directions_apart() -> None:
    features = view_features(told())
    assert features.shape == (3, VIEW_FEATURES)
    assert features.abs().max() <= 1
    assert (features[0] - features[1]).abs().max() > 0.1


def test_what_is_withheld_leaves_no_trace() -> None:
    """Two views of which everything is withheld look the same to the network, whatever they were."""
    unknown = told().unknown()
    assert (unknown.classes == UNKNOWN).all()
    assert not unknown.has_direction.any()
    assert not unknown.has_reference.any()
    assert (view_features(unknown) == 0).all()


def test_each_condition_is_withheld_by_itself() -> None:
    none, all_of_it = torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    without_reference = told().dropped(classes=none, directions=none, references=all_of_it)
    assert (without_reference.classes == 1).all()
    assert without_reference.has_direction.all()
    assert not without_reference.has_reference.any()
    without_class = told().dropped(classes=all_of_it, directions=none, references=none)
    assert (without_class.classes == UNKNOWN).all()
    assert without_class.has_reference.all()


def test_features_of_relative_angles_turn_with_both_cameras() -> None:
    """The angle between the cameras is the same when both are turned around z: only the absolute features change."""

    def turned(by: float) -> torch.Tensor:
        return view_features(
            condition(
                direction(elevation=10, azimuth=40 + by)[None],
                shape=(1, 1, 2, 2),
                reference=torch.zeros(1, 2, 2),
                reference_direction=direction(elevation=20, azimuth=10 + by),
            )
        )[0]

    relative = slice(VIEW_FEATURES - 8, None)
    torch.testing.assert_close(turned(0)[relative], turned(77)[relative], atol=1e-5, rtol=0)
    assert (turned(0) - turned(77)).abs().max() > 0.1


def test_selected() -> None:
    some = told()[1:]
    assert len(some) == 2
    torch.testing.assert_close(some.directions, told().directions[1:])
