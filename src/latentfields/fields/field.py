"""The interface of radiance fields, and how to add one.

A representation is one file in `fields/`, a frozen configuration in `fields/config.py`, which `FieldConfig`,
`FieldName` and, with its presets, `RECIPES` there mention, and one line in `fields/registry.py`:

- `class MyFieldConfig` in `config.py`, free of torch, with `kind: ClassVar[str] = "my-field"` (the name on the
  command line and in config.json), its sizes, learning rates and regularisers, and `optimizer: OptimizerConfig`
  (Adam or RAdam and the schedule of the learning rates, as data). Limits of numbers stand in their annotations, where
  they are not those of all counts (at least 1) and rates (at least 0). Defaults suit a CPU, as the preset `small`.
  `unbounded()` is the configuration of the field where it covers all space, contracted into [-1, 1]^3.
- `class MyField(Field)` with `__init__(self, config, *, channels, head)`. Weights are drawn from torch's global
  generator, which the caller has seeded.

One that is not part of the package needs none of that: its configuration is an `OwnFieldConfig`, which makes it, for
`fit(..., field=...)` (`examples/02_own_field.py`).

Such a field knows nothing of rays: where it is looked at is a sampler's matter (`rendering/sampler.py`), and every
field works with every sampler. A second, coarse network is a second instance that the hierarchical sampler owns. 3D
Gaussians (`gaussians.py`) are splatted instead: they are a `Representation`, which is all that training needs.

Shape suffixes: P points, C output channels.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from latentfields.rendering.sampler import RadianceField

Head = Literal["linear", "sigmoid"]
"""Output activation: linear for unit-scale latents, sigmoid for colours and squashed latents in [0, 1]."""


class Representation(nn.Module, abc.ABC):
    """A module that is fitted to a scene, with its own regularisers and learning rates."""

    @abc.abstractmethod
    def regularisation(self) -> Tensor:
        """The field's own loss term (a scalar), weighted."""

    @abc.abstractmethod
    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """Optimiser groups `{"params": [...], "lr": ...}` that hold every parameter once.

        The learning rates are the method's own at their peak, all multiplied by the factor (xi of Table 16). A group
        with a "decay" falls to this fraction over each stage, exponentially, beside the schedule.
        """

    def advance(self, progress: float) -> bool:
        """Prepare for a training step at `progress` in [0, 1] of the stage that fits the field to its targets.

        That stage is Latent Supervision, or the whole fit in RGB space; during RGB Alignment progress is 1. Called
        before every step, also after a resume, so that weights that follow the progress can be plain attributes.
        Returns True when parameters were replaced by others (voxel upsampling, shrinking): the trainer then rebuilds
        the optimiser, in which the parameters that are still the same objects keep their moments.

        Progress may jump over several thresholds at once, and comes again after a resume: what was done already must
        follow from parameters and buffers, and is not done twice. Draws no random numbers.
        """
        return False

    # An empty default, and no abstract method: most fields keep their shapes.
    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """Give parameters and buffers the shapes that they have in `state`, a `state_dict` of this field.

        Called before `load_state_dict`, for checkpoints and finished runs. Only fields whose shapes change in
        `advance` have something to do; values do not matter. Structure that is not a tensor follows from `state`.
        """


class DensityField(Representation):
    """A density in [-1, 1]^3; proposal networks are no more than that."""

    @abc.abstractmethod
    def density(self, points: Tensor) -> Tensor:
        """Density (P,), not negative, per unit length at points (P, 3)."""


class Field(DensityField):
    """Density and C-channel features of points in [-1, 1]^3."""

    channels: int

    rounds: ClassVar[bool] = False
    """Whether products of matrices in it may be rounded, as of layers; those with positions may not."""

    @abc.abstractmethod
    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along unit directions (P, 3)."""


def in_precision(field: Field, precision: torch.dtype) -> RadianceField:
    """Return `field` with layers that compute in `precision`, for someone who only looks; itself if it cannot."""
    return field if precision == torch.float32 or not field.rounds else _Rounded(field, precision)


@dataclass(frozen=True)
class _Rounded:
    """A field whose products of matrices are rounded; weights, results and all else are not."""

    field: Field
    precision: torch.dtype

    def density(self, points: Tensor) -> Tensor:
        """As `DensityField.density`."""
        with self._rounding(points):
            return self.field.density(points).float()

    def __call__(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """As `Field.forward`."""
        with self._rounding(points):
            density, features = self.field(points, directions)
        return density.float(), features.float()

    def _rounding(self, points: Tensor) -> torch.autocast:
        return torch.autocast(points.device.type, dtype=self.precision)


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
