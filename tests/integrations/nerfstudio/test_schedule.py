"""Learning rates of both stages, and optimisers of models that replace parameters; needs no Nerfstudio."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from latentfields.integrations.nerfstudio.schedule import (
    LearningRateSchedule,
    follow_parameters,
    set_learning_rate,
)


def rate(schedule: LearningRateSchedule, *, step: int, steps: int, factor: float = 1.0) -> float:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=123.0)
    set_learning_rate(optimizer, schedule.options(), peak=0.5, factor=factor, step=step, steps=steps)
    value: float = optimizer.param_groups[0]["lr"]
    return value


def test_rates_follow_their_closed_forms() -> None:
    assert rate(LearningRateSchedule(), step=7, steps=10, factor=0.1) == pytest.approx(0.05)
    decay = LearningRateSchedule("exponential", final_learning_rate=0.9996**15_000)
    assert rate(decay, step=9, steps=15_000) == pytest.approx(0.5 * 0.9996**9)
    fixed = LearningRateSchedule("exponential", final_learning_rate=0.01, steps=200)
    assert rate(fixed, step=50, steps=100) == pytest.approx(0.5 * 0.01**0.25)
    cosine = LearningRateSchedule("cosine", final_learning_rate=0.0, steps=30, warmup_steps=10)
    assert rate(cosine, step=5, steps=100) == pytest.approx(0.25)
    assert rate(cosine, step=15, steps=100) == pytest.approx(0.25 * (1 + math.cos(math.pi / 4)))


def test_a_step_has_one_rate_whatever_was_set_before() -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = LearningRateSchedule("exponential", final_learning_rate=0.1).options()
    for step in (9, 0, 5):
        set_learning_rate(optimizer, schedule, peak=2.0, factor=1.0, step=step, steps=10)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2.0 * 0.1**0.5)


def test_groups_with_peaks_of_their_own_keep_them() -> None:
    groups = [
        {"params": [nn.Parameter(torch.zeros(1))], "lr": 9.0, "peak": 3.0},
        {"params": [nn.Parameter(torch.zeros(1))], "lr": 9.0, "peak": 5.0},
    ]
    optimizer = torch.optim.Adam(groups, lr=1.0)
    set_learning_rate(optimizer, LearningRateSchedule().options(), peak=1.0, factor=0.5, step=0, steps=1)
    assert [group["lr"] for group in optimizer.param_groups] == [1.5, 2.5]


def test_groups_with_a_decay_fall_beside_the_schedule() -> None:
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "peak": 3.0, "decay": 0.01}]
    optimizer = torch.optim.Adam(groups, lr=1.0)
    schedule = LearningRateSchedule("exponential", final_learning_rate=0.25).options()
    set_learning_rate(optimizer, schedule, peak=1.0, factor=2.0, step=5, steps=10)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2.0 * 3.0 * 0.1 * 0.5)


@pytest.mark.parametrize("same_shape", [True, False])
def test_replaced_parameters_are_trained_and_moments_of_their_shape_kept(same_shape: bool) -> None:
    kept, old = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([kept, old], lr=0.1)
    (kept.sum() + 2 * old.sum()).backward()
    optimizer.step()
    first_moment = optimizer.state[old]["exp_avg"]
    new = nn.Parameter(torch.ones(3 if same_shape else 5))
    follow_parameters(optimizer, [kept, new])
    assert old not in optimizer.state
    assert kept in optimizer.state
    if same_shape:
        assert optimizer.state[new]["exp_avg"] is first_moment
    else:
        assert new not in optimizer.state
    optimizer.zero_grad()
    new.sum().backward()
    optimizer.step()
    assert (new < 1).all()
