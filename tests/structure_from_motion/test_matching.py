from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.photographs import needs_pycolmap
from latentfields.structure_from_motion.engine import load_pycolmap
from latentfields.structure_from_motion.matching import (
    LARGEST_ANGLE,
    LARGEST_RATIO,
    match_descriptors,
    match_pairs,
)


def unit(*rows: list[float]) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows, dtype=torch.float64), dim=1)


def at(*radians: float) -> torch.Tensor:
    """Directions in a plane."""
    angles = torch.tensor(radians)
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_what_is_nearest_to_each_other_matches() -> None:
    first = unit([1, 0, 0], [0, 1, 0], [0, 0, 1])
    second = unit([0, 0.1, 1], [1, 0.1, 0], [0.1, 1, 0])
    assert match_descriptors(first, second).tolist() == [[0, 1], [1, 2], [2, 0]]


def test_the_second_best_has_to_be_worse() -> None:
    """Angles of 0.1 and 0.13: 0.77 of it; of 0.1 and 0.12: 0.83."""
    assert LARGEST_RATIO == 0.8
    assert match_descriptors(at(0.0), at(0.1, -0.13)).tolist() == [[0, 0]]
    assert match_descriptors(at(0.0), at(0.1, -0.12)).tolist() == []


def test_matches_are_mutual() -> None:
    """Both are nearest to the one of the second; it is nearest to the other."""
    assert match_descriptors(at(0.0, 0.2), at(0.15, 2.0)).tolist() == [[1, 0]]


def test_what_is_far_away_does_not_match() -> None:
    assert LARGEST_ANGLE == 0.7
    assert match_descriptors(at(0.0), at(0.69, 3.0)).tolist() == [[0, 0]]
    assert match_descriptors(at(0.0), at(0.71, 3.0)).tolist() == []


def test_as_one_by_one() -> None:
    """Against a loop over all descriptors."""
    generator = torch.Generator().manual_seed(0)
    second = torch.nn.functional.normalize(
        torch.rand(60, 16, generator=generator, dtype=torch.float64), dim=1
    )
    noise = 0.6 * torch.rand(40, 16, generator=generator, dtype=torch.float64)
    first = torch.nn.functional.normalize(second[:40] + noise, dim=1)
    expected = []
    for row, descriptor in enumerate(first):
        angles = (second @ descriptor).arccos()
        near, far = angles.sort().values[:2].tolist()
        column = int(angles.argmin())
        back = int((first @ second[column]).argmax())
        if back == row and near < 0.8 * far and near < 0.7:
            expected.append([row, column])
    assert 0 < len(expected) < 40
    assert match_descriptors(first, second).tolist() == expected


def test_photographs_without_features_match_nothing() -> None:
    assert match_descriptors(torch.empty(0, 4), torch.ones(3, 4)).shape == (0, 2)
    assert match_descriptors(torch.ones(3, 4), torch.empty(0, 4)).shape == (0, 2)


RIGHT, WRONG = 40, 80
"""Matches that agree with the cameras, and that do not."""


def two_views(colmap: Any, path: Path) -> Path:
    """Two photographs of scattered points; descriptors say that others are seen in both, too, at random places."""
    random = np.random.default_rng(0)
    points = random.uniform([-1, -1, 3], [1, 1, 6], (RIGHT, 3))
    descriptors = random.integers(0, 250, (RIGHT + WRONG, 128)).astype(np.uint8)
    with colmap.Database.open(path) as opened:
        camera = colmap.Camera(model="PINHOLE", width=200, height=200, params=[200, 200, 100, 100])
        number = opened.write_camera(camera)
        for view, shift in enumerate((0.0, 0.5)):
            moved = points - [shift, 0.2 * shift, 0]
            seen = 200 * moved[:, :2] / moved[:, 2:] + 100
            places = np.concatenate([seen, random.uniform(0, 200, (WRONG, 2))])
            identifier = opened.write_image(colmap.Image(name=f"{view}.jpg", camera_id=number))
            features = colmap.FeatureDescriptors()
            features.type, features.data = colmap.FeatureExtractorType.SIFT, descriptors
            opened.write_keypoints(identifier, np.pad(places, ((0, 0), (0, 2))).astype(np.float32))
            opened.write_descriptors(identifier, features)
    return path


@needs_pycolmap
@pytest.mark.parametrize(
    ("limits", "verified"),
    [
        ({}, True),
        ({"fewest_inliers": 60}, False),
        ({"least_inlier_ratio": 0.45}, False),
        ({"fewest_inliers": 35, "least_inlier_ratio": 0.3}, True),
    ],
)
def test_matches_have_to_agree_with_one_geometry(
    tmp_path: Path, limits: dict[str, Any], verified: bool
) -> None:
    colmap = load_pycolmap(tmp_path, wants="tests need")
    path = two_views(colmap, tmp_path / "all.db")
    match_pairs(colmap, path, [(1, 2)], threads=1, **limits)
    with colmap.Database.open(path) as opened:
        assert len(opened.read_matches(1, 2)) == RIGHT + WRONG
        inliers = opened.read_two_view_geometry(1, 2).inlier_matches
    assert (len(inliers) >= 0.9 * RIGHT) is verified
    assert len(inliers) == 0 or verified
