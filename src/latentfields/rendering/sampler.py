"""Samplers turn rays into pixels: they decide where along rays a field is queried.

Shape suffixes: R rays, P points, C channels.
"""

from __future__ import annotations

import abc
from typing import Protocol

import torch
from torch import Tensor, nn

from latentfields.rendering.rendering import Rendering, Shot


class Density(Protocol):
    """Something with a density in [-1, 1]^3."""

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) per unit length at points (P, 3)."""
        ...


class RadianceField(Density, Protocol):
    """A field as samplers use it."""

    def __call__(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along unit directions (P, 3)."""
        ...


class Sampler(nn.Module, abc.ABC):
    """Renders rays through a field. Networks that it owns are fitted with the field."""

    @abc.abstractmethod
    def render(self, field: RadianceField, shot: Shot) -> Rendering:
        """Render the rays of `shot`, within its distances and the box [-1, 1]^3, over its background.

        Differentiable in the field, the background, the sampler's own networks and the rays; where along a ray the
        field is looked at counts as given.
        """

    def update(self, field: Density, *, step: int, generator: torch.Generator) -> None:
        """Prepare for training step `step`, from 0; called before every one, also after a resume."""
