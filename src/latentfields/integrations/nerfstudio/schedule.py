"""Learning rates over the two stages, and optimisers that follow their parameters.

Nerfstudio's own schedulers count their own steps, keep numpy numbers in checkpoints, which then do not load with
`weights_only=True`, and know one stage. Here the rate of every step follows from the step alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from latentfields.fields.config import OptimizerConfig
from latentfields.latent_nerf.optimizers import schedule_factor

SCHEDULE = "schedule"
"""Key of a group's `LearningRateSchedule` in Nerfstudio's dictionary of optimisers, beside `optimizer`."""


@dataclass
class LearningRateSchedule:
    """Course of a group's learning rate over a stage; both stages start at its beginning."""

    kind: Literal["constant", "exponential", "cosine"] = "constant"
    """course after the warm-up, from the peak to the final fraction of it"""
    final_learning_rate: float = 1.0
    """fraction of the peak at the end of the schedule"""
    steps: int | None = None
    """steps from the start of a stage to the end of the schedule; by default the stage's steps"""
    warmup_steps: int = 0
    """steps at the start of a stage over which the rate rises from zero"""

    def options(self) -> OptimizerConfig:
        """The same course as `latentfields fit` writes it."""
        return OptimizerConfig(
            schedule=self.kind,
            final_learning_rate=self.final_learning_rate,
            schedule_steps=self.steps,
            warmup_steps=self.warmup_steps,
        )


def set_learning_rate(
    optimizer: torch.optim.Optimizer,
    schedule: OptimizerConfig,
    *,
    peak: float,
    factor: float,
    step: int,
    steps: int,
) -> None:
    """Learning rates for step `step` of a stage of `steps` steps: `factor` (xi of Table 16) times those scheduled.

    `peak` is that of groups that have none of their own under "peak". A group with a "decay" also falls to this
    fraction over the stage, exponentially.
    """
    progress = step / steps
    course = factor * schedule_factor(schedule, progress=progress, steps=steps)
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("peak", peak) * course * group.get("decay", 1.0) ** progress


def follow_parameters(optimizer: torch.optim.Optimizer, groups: Sequence[Any]) -> None:
    """Let `optimizer` hold the parameters that a model has now, where they were replaced: upsampled, or loaded.

    `groups` is what the optimiser would be made from: parameters, or torch's groups of them. Moments stay with
    parameters of their shape, which is what a checkpoint of an upsampled model needs.
    """
    lists = [group["params"] for group in groups] if isinstance(groups[0], dict) else [list(groups)]
    for held, now in zip(optimizer.param_groups, lists, strict=True):
        for old, new in zip(held["params"], now, strict=True):
            if old is not new and old in optimizer.state:
                moments = optimizer.state.pop(old)
                if _fits(moments, new):
                    optimizer.state[new] = moments
        held["params"] = list(now)


def _fits(moments: dict[str, Any], parameter: nn.Parameter) -> bool:
    return all(value.shape in (parameter.shape, ()) for value in moments.values())
