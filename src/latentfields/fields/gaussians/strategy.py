"""The interface of strategies that add and remove Gaussians. Shape suffixes: N Gaussians, B views."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentfields.devices import Kept
from latentfields.fields.gaussians.field import GaussianField
from latentfields.rendering.splatting.projection import ProjectedGaussians


@dataclass(frozen=True)
class SplattedStep:
    """An optimiser's step on views that were splatted."""

    splats: Sequence[ProjectedGaussians]
    """One of every view, whose `means_2d` have gradients of the loss."""
    width: int
    """Width of the views in pixels of the feature grid."""
    height: int
    """Height of the views in pixels of the feature grid."""
    value_range: float
    """Distance between the least and the largest value of the features, which the loss is in proportion to."""
    progress: float
    """In [0, 1] of the stage that fits the field to its targets."""


class Strategy(nn.Module, abc.ABC):
    """Adds and removes Gaussians. What the next step depends on is in buffers."""

    refined: Tensor
    """() int64: refinements that were done."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("refined", torch.zeros((), dtype=torch.int64))
        self._refined: Kept[int] = Kept()

    @property
    def refinements_done(self) -> int:
        """`refined`, on the host."""
        return self._refined.get(lambda: int(self.refined), self.refined)

    @abc.abstractmethod
    def after_step(
        self,
        field: GaussianField,
        optimizer: torch.optim.Optimizer,
        step: SplattedStep,
        *,
        generator: torch.Generator,
        others: Sequence[torch.optim.Optimizer] = (),
    ) -> None:
        """Follow up one step; Gaussians that are replaced are replaced in the optimiser, too.

        So are values that follow the field in the `others`, which fit those.
        """

    def is_due(self, moments: int) -> bool:
        """True when fewer refinements were done than `moments`; that counts as one that is done now."""
        due = self.refinements_done < moments
        if due:
            self.refined.fill_(moments)
            self._refined.keep(moments, self.refined)
        return due

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """Give buffers the shapes that they have in `state`, before it is loaded."""
        for name, buffer in self.named_buffers():
            setattr(self, name, buffer.new_zeros(state[name].shape))


def moments_passed(progress: float, *, first: float, last: float, count: int) -> int:
    """The number of `count` moments, evenly spread from `first` to `last`, that are not after `progress`."""
    if count == 0 or progress < first:
        return 0
    spacing = (last - first) / (count - 1) if count > 1 else 0.0
    return count if progress >= last or spacing <= 0 else 1 + int((progress - first) / spacing)
