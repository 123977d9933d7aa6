"""The judge of generated pictures: it learns what there is to see, and its measures are right in closed form."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latentfields.bench.judge import (
    Judge,
    Pictures,
    at_judged_size,
    azimuths,
    feature_distance,
    judged,
    load_judge,
    save_judge,
    spread,
    train_judge,
)
from latentfields.priors.conditions import direction


def drawn(count: int, seed: int) -> Pictures:
    """Two kinds of pictures: of a red or a green dot that goes around with the azimuth."""
    random = torch.Generator().manual_seed(seed)
    classes = torch.randint(2, (count,), generator=random)
    angles = 2 * math.pi * torch.rand(count, generator=random) - math.pi
    row, column = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    images = torch.ones(count, 3, 64, 64)
    for index in range(count):
        x, y = 32 + 20 * angles[index].cos(), 32 + 20 * angles[index].sin()
        dot = (column - x) ** 2 + (row - y) ** 2 < 64
        images[index, :, dot] = 0.2
        images[index, classes[index], dot] = 0.9
    return Pictures(images, classes, angles)


@pytest.mark.slow
def test_a_judge_learns_class_and_azimuth(tmp_path: Path) -> None:
    judge = train_judge(drawn(200, seed=0), classes=2, steps=60)
    others = drawn(60, seed=1)
    verdict = judged(judge, others)
    assert verdict.right_class > 0.9
    assert verdict.right_view > 0.9
    assert verdict.accuracy <= min(verdict.right_class, verdict.right_view)
    save_judge(judge, tmp_path / "judge.safetensors", names=("green", "red"))
    again, names = load_judge(tmp_path / "judge.safetensors")
    assert names == ("green", "red")
    assert judged(again, others) == verdict
    # Pictures turned around are seen from elsewhere.
    turned = Pictures(others.images.flip(-1), others.classes, others.azimuths)
    assert judged(judge, turned).right_view < 0.7


def test_same_seed_same_judge() -> None:
    first, same, other = (
        train_judge(drawn(8, seed=0), classes=2, steps=2, seed=seed).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_pictures_are_judged_at_one_size() -> None:
    large = torch.rand(1, 3, 128, 128)
    torch.testing.assert_close(at_judged_size(large), torch.nn.functional.avg_pool2d(large, 2))
    small = torch.rand(1, 3, 64, 64)
    assert at_judged_size(small) is small
    assert Judge(3).features(large).shape == (1, 128)


def test_azimuths_are_those_of_directions() -> None:
    found = azimuths(torch.stack([direction(elevation=20, azimuth=a) for a in (0.0, 90.0, -135.0)]))
    torch.testing.assert_close(torch.rad2deg(found), torch.tensor([0.0, 90.0, -135.0]))


def features(mean: float, count: int, seed: int) -> Tensor:
    return mean + torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


def test_distance_is_zero_for_one_distribution_and_grows() -> None:
    same = feature_distance(features(0, 500, 0), features(0, 500, 1))
    near, far = (feature_distance(features(0, 500, 0), features(mean, 500, 1)) for mean in (0.5, 1.5))
    assert abs(same) < 0.05
    assert 0.1 < near < far


def test_distance_by_hand() -> None:
    """Kernel (x y + 1)^3 of numbers: 1 within zeros, 8 within ones, 1 between."""
    assert feature_distance(torch.zeros(2, 1), torch.ones(3, 1)) == pytest.approx(1 + 8 - 2)


def test_spread_is_the_mean_distance_of_different_pictures() -> None:
    assert spread(torch.tensor([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(5.0)
    assert spread(torch.ones(4, 3)) == 0.0
