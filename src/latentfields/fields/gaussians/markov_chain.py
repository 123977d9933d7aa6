"""Gaussians as samples of a Markov chain (Kheradmand et al. 2024): transparent ones move, the number grows slowly.

Shape suffixes: N Gaussians, M of them moved or added.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from latentfields.devices import normal, upload
from latentfields.fields.densification import McmcDensificationConfig
from latentfields.fields.gaussians.field import GaussianField
from latentfields.fields.gaussians.rows import forget_moments, take_rows
from latentfields.fields.gaussians.strategy import SplattedStep, Strategy, moments_passed
from latentfields.rendering.splatting.gaussians import rotation_matrices

MOST_COPIES = 51
"""Gaussians that one can be shared among."""
NOISE_SHARPNESS, NOISE_OPACITY = 100.0, 0.005
"""Noise falls off around this opacity, as a sigmoid of this slope (Eq. 9 of the paper)."""
_OPACITY_RANGE = (1e-4, 1 - 1e-4)
"""Opacities of Gaussians that share a shape."""


class MarkovChain(Strategy):
    """The strategy of 3DGS-MCMC."""

    def __init__(self, options: McmcDensificationConfig) -> None:
        super().__init__()
        self.options = options

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
        options = self.options
        moments = moments_passed(
            step.progress, first=options.start, last=options.end, count=options.refinements
        )
        if self.is_due(moments):
            self._relocate(field, optimizer, generator, others)
            self._grow(field, optimizer, generator, others)
        # RGB Alignment (progress 1) refines what is there; noise would only blur it.
        if step.progress < 1:
            self._explore(field, optimizer, generator)

    def _relocate(
        self,
        field: GaussianField,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        others: Sequence[torch.optim.Optimizer],
    ) -> None:
        """Move Gaussians that are transparent to others, drawn by opacity."""
        opacities = torch.sigmoid(field.opacities)
        dead = (opacities <= self.options.lowest_opacity).nonzero()[:, 0]
        alive = torch.where(opacities > self.options.lowest_opacity, opacities, torch.zeros_like(opacities))
        # Without any opaque Gaussian there is none to move to, and no distribution to draw from.
        if len(dead) == 0 or not bool((alive > 0).any()):
            return
        # First the chosen ones are made fainter, then copied: copies take the shared shape with them.
        chosen = _draw(alive, len(dead), generator)
        share(field, optimizer, chosen)
        rows = torch.arange(len(field), device=chosen.device)
        rows[dead] = chosen
        fresh = torch.zeros_like(rows, dtype=torch.bool).index_fill(0, dead, True)
        take_rows(field, optimizer, rows, fresh=fresh, others=others)

    def _grow(
        self,
        field: GaussianField,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
        others: Sequence[torch.optim.Optimizer],
    ) -> None:
        count = len(field)
        added = min(self.options.most, int((1 + self.options.growth) * count)) - count
        if added <= 0:
            return
        chosen = _draw(torch.sigmoid(field.opacities), added, generator)
        share(field, optimizer, chosen)
        rows = torch.cat([torch.arange(count, device=chosen.device), chosen])
        fresh = torch.arange(len(rows), device=rows.device) >= count
        take_rows(field, optimizer, rows, fresh=fresh, others=others)

    def _explore(
        self, field: GaussianField, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> None:
        """Add Eq. 9's noise of a Gaussian's own shape, more of it the more transparent it is."""
        # Noise follows the means' learning rate, so that it dies down with the schedule.
        rate = next(
            group["lr"] for group in optimizer.param_groups if any(p is field.means for p in group["params"])
        )
        opacities = torch.sigmoid(field.opacities)
        strength = torch.sigmoid(NOISE_SHARPNESS * (NOISE_OPACITY - opacities)) * (self.options.noise * rate)
        # Sigma = R S (R S)^T: noise by the covariance itself, not its root, stays within thin Gaussians.
        roots = rotation_matrices(field.rotations) * field.scales.exp()[:, None]
        drawn = normal(field.means.shape, generator=generator, device=field.means.device)
        moved = roots @ (roots.transpose(1, 2) @ (drawn * strength[:, None])[:, :, None])
        field.means.add_(moved[:, :, 0])


@torch.no_grad()
def share(field: GaussianField, optimizer: torch.optim.Optimizer, chosen: Tensor) -> None:
    """Make every Gaussian as faint and small as it must be for it and its copies to look as it did (Eq. 8).

    `chosen` (M,) int64 has a Gaussian once for every copy that is to be made of it. Moments start again.
    """
    rows, copies = chosen.unique(return_counts=True)
    # Each is shared by its copies and itself. Beyond MOST_COPIES the sum in
    # `shared_shape` loses its digits.
    opacities, factors = shared_shape(
        torch.sigmoid(field.opacities[rows]), (copies + 1).clamp(max=MOST_COPIES)
    )
    # Away from 0 and 1, where logits have no gradient to come back by.
    field.opacities[rows] = torch.logit(opacities.clamp(*_OPACITY_RANGE))
    field.scales[rows] += factors.log()[:, None]
    forget_moments(field.opacities, optimizer, rows)
    forget_moments(field.scales, optimizer, rows)


def shared_shape(opacities: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Opacities and factors of the scales, (M,) each, of `counts` (M,) Gaussians in place of one of `opacities` (M,).

    Together they have its opacity at the centre and its integral along lines through it (Eq. 8; its double sum over
    binomials is one sum, of C(n, k + 1)).
    """
    # Terms alternate in sign and cancel: float32 has few digits left at 20 copies.
    old = opacities.double()
    # n layers of the new opacity let through as much as one of the old.
    new = 1 - (1 - old).pow(1 / counts.double())
    integral = torch.zeros_like(old)
    for k in range(int(counts.max())):
        # C(n, k + 1), zero where it should be.
        n = counts.double()
        ways = torch.exp(torch.lgamma(n + 1) - math.lgamma(k + 2) - torch.lgamma((n - k).clamp(min=1)))
        term = (-1) ** k * new.pow(k + 1) / math.sqrt(k + 1) * ways
        integral += torch.where(counts > k, term, torch.zeros_like(term))
    return new.to(opacities.dtype), (old / integral).to(opacities.dtype)


def _draw(weights: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """`count` indices, repeated ones too, with probabilities in proportion to `weights` (N,)."""
    chosen = torch.multinomial(weights.cpu(), count, replacement=True, generator=generator)
    return upload(chosen, weights.device)
