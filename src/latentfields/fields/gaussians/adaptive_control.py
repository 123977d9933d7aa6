"""Adaptive control of Gaussians: clone and split where the picture pulls at them, prune (Kerbl et al. 2023, Sec. 5.2).

Moments are shares of the stage's progress, so that a fit that is short or limited in time is refined as often.

Shape suffixes: N Gaussians, S split ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from latentfields.devices import Kept, like, upload
from latentfields.fields.densification import GradientDensificationConfig
from latentfields.fields.gaussians.field import GaussianField
from latentfields.fields.gaussians.rows import forget_moments, take_rows
from latentfields.fields.gaussians.strategy import SplattedStep, Strategy, moments_passed
from latentfields.rendering.splatting.gaussians import rotation_matrices

SPLIT_FACTOR = 1.6
"""The two parts of a split Gaussian have its scales over this."""
RESET_OPACITY = 0.01
"""Opacities are lowered to this."""


class AdaptiveControl(Strategy):
    """The strategy of 3DGS, on statistics of gradients on the screen since the last refinement."""

    gradients: Tensor
    """(N,) sum over views of the length of the gradient at the centre, which is in halves of the picture's size, of the
    loss as a share of the features' range."""
    views: Tensor
    """(N,) views in which a Gaussian was seen."""
    resets: Tensor
    """() int64: resets of the opacities that were done."""

    def __init__(self, options: GradientDensificationConfig) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("gradients", torch.zeros(0))
        self.register_buffer("views", torch.zeros(0))
        self.register_buffer("resets", torch.zeros((), dtype=torch.int64))
        self._resets: Kept[int] = Kept()

    @torch.no_grad()
    def after_step(
        self,
        field: GaussianField,
        optimizer: torch.optim.Optimizer,
        step: SplattedStep,
        *,
        generator: torch.Generator,
        others: Sequence[torch.optim.Optimizer] = (),
    ) -> None:
        """As `Strategy.after_step`."""
        first, last = self.options.start, self.options.end
        self._observe(len(field), step)
        if self.is_due(moments_passed(step.progress, first=first, last=last, count=self.options.refinements)):
            self._refine(field, optimizer, generator, others)
            self.gradients, self.views = self.gradients.new_zeros(0), self.views.new_zeros(0)
        # Resets lie evenly inside the window, none at its ends: opacities need time to come back before the last
        # pruning.
        between = (last - first) / (self.options.opacity_resets + 1)
        resets = moments_passed(
            step.progress, first=first + between, last=last - between, count=self.options.opacity_resets
        )
        if self.resets_done < resets:
            # Gaussians that nothing pulls back to opacity, such as floaters near cameras, are pruned afterwards.
            self.resets.fill_(resets)
            self._resets.keep(resets, self.resets)
            field.opacities.clamp_(max=math.log(RESET_OPACITY / (1 - RESET_OPACITY)))
            # Old moments would go on moving opacities as if they had not been lowered.
            forget_moments(field.opacities, optimizer, torch.arange(len(field), device=field.means.device))

    @property
    def resets_done(self) -> int:
        """`resets`, on the host."""
        return self._resets.get(lambda: int(self.resets), self.resets)

    def _observe(self, count: int, step: SplattedStep) -> None:
        # After the last refinement nobody reads the statistics.
        if self.refinements_done >= self.options.refinements:
            return
        # The first step after a refinement: rows have changed, and what was seen of the old ones says nothing.
        if len(self.gradients) != count:
            self.gradients, self.views = self.gradients.new_zeros(count), self.views.new_zeros(count)
        # The loss is a mean over views: the gradient of one view's own loss is what is compared.
        unit = like([step.width, step.height], self.gradients) * (len(step.splats) / 2 / step.value_range)
        # Gradients of pixels times half the picture are per half picture, so that thresholds hold at any resolution.
        for splats in step.splats:
            if splats.means_2d.grad is not None:
                self.gradients += (splats.means_2d.grad * unit).norm(dim=-1)
                self.views += splats.radii > 0

    def _refine(
        self,
        field: GaussianField,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        others: Sequence[torch.optim.Optimizer],
    ) -> None:
        # Small Gaussians under strain leave a gap: a copy at the same place moves into it. Large ones cover too much:
        # two smaller ones take their place.
        kept = self._kept(field)
        largest = field.scales.exp().amax(dim=1)
        grown = self._grown(kept)
        cloned = grown[largest[grown] <= self.options.clone_scale]
        split = grown[largest[grown] > self.options.clone_scale]
        stays = kept.clone()
        stays[split] = False
        # One gather makes the new field: survivors first, then copies and both parts of split ones, which start
        # without moments.
        rows = torch.cat([stays.nonzero()[:, 0], cloned, split, split])
        fresh = torch.arange(len(rows), device=rows.device) >= int(stays.sum())
        take_rows(field, optimizer, rows, fresh=fresh, others=others)
        if len(split):
            _spread(field, slice(len(rows) - 2 * len(split), None), generator)

    def _kept(self, field: GaussianField) -> Tensor:
        """(N,) bool: what is opaque enough and, once opacities were reset, not too large."""
        kept = torch.sigmoid(field.opacities) >= self.options.lowest_opacity
        if self.resets_done:
            kept &= field.scales.exp().amax(dim=1) <= self.options.largest_scale
        # A scene without any Gaussian has no gradients to come back by.
        return kept if bool(kept.any()) else torch.ones_like(kept)

    def _grown(self, kept: Tensor) -> Tensor:
        """Indices of those to add to, the most wanted ones as far as there is room."""
        # Sums over views favour what many views see; means compare Gaussians by how hard one view pulls.
        wanted = self.gradients / self.views.clamp(min=1)
        wanted = torch.where(kept & (wanted >= self.options.threshold), wanted, torch.zeros_like(wanted))
        room = min(max(self.options.most - int(kept.sum()), 0), int((wanted > 0).sum()))
        # Stable, so that ties come out alike on every machine.
        return wanted.argsort(descending=True, stable=True)[:room]


def _spread(field: GaussianField, parts: slice, generator: torch.Generator) -> None:
    """Draw the means of split Gaussians from what they were, and make them smaller."""
    scales = field.scales[parts].exp()
    # Drawn on the CPU: the same numbers for every device.
    drawn = upload(torch.randn(scales.shape, generator=generator), scales.device)
    offsets = (rotation_matrices(field.rotations[parts]) @ (scales * drawn)[:, :, None])[:, :, 0]
    field.means[parts] += offsets
    field.scales[parts] -= math.log(SPLIT_FACTOR)
