"""What a radiance field is to the rest of the package.

Shape suffixes: P points, C output channels.
"""

from __future__ import annotations

import abc
from typing import Any, Literal

import torch
from torch import Tensor, nn

Head = Literal["linear", "sigmoid"]
"""Output activation: linear for unit-scale latents, sigmoid for colours and squashed latents in [0, 1]."""


class Field(nn.Module, abc.ABC):
    """Density and C-channel features of points in [-1, 1]^3."""

    channels: int

    @abc.abstractmethod
    def density(self, points: Tensor) -> Tensor:
        """Density (P,) per unit length at points (P, 3)."""

    @abc.abstractmethod
    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along unit directions (P, 3)."""

    @abc.abstractmethod
    def regularisation(self) -> Tensor:
        """The field's own loss term (a scalar), weighted."""

    @abc.abstractmethod
    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """Optimiser groups with the method's learning rates, all multiplied by the factor (xi of Table 16)."""


class _TruncatedExp(torch.autograd.Function):
    """exp whose gradient stays finite (Mueller et al. 2022)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        clamped = x.clamp(max=11.0)
        ctx.save_for_backward(clamped)
        return clamped.exp()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (clamped,) = ctx.saved_tensors
        out: Tensor = gradients[0] * clamped.exp()
        return out


def truncated_exp(x: Tensor) -> Tensor:
    """exp(min(x, 11)) with the gradient exp(min(x, 11)) everywhere."""
    out: Tensor = _TruncatedExp.apply(x)  # type: ignore[no-untyped-call]
    return out


def apply_head(features: Tensor, head: Head) -> Tensor:
    """The output activation."""
    return features if head == "linear" else torch.sigmoid(features)
