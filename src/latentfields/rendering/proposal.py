"""Proposal sampling: small density networks learn where the field is dense (Barron et al. 2022, mip-NeRF 360, Sec. 3).

Shape suffixes: R rays, S intervals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from latentfields.rendering.config import ProposalSamplingConfig
from latentfields.rendering.intervals import (
    importance_edges,
    interval_weights,
    render_intervals,
    stratified_edges,
)
from latentfields.rendering.proposal_losses import distortion_loss, interlevel_loss
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import Density, RadianceField, Sampler

ANNEAL_SLOPE = 10.0
"""How fast proposals gain influence at first: b of mip-NeRF 360's Schlick bias."""


class ProposalSampler(Sampler):
    """Every proposal network says where the next one is looked at, and the last where the field is."""

    def __init__(self, options: ProposalSamplingConfig, proposals: Iterable[nn.Module]) -> None:
        """`proposals` have a `density` and are as many as the options say, from the first and coarsest to the last."""
        super().__init__()
        self.options = options
        self.proposals = nn.ModuleList(proposals)
        self._influence = 1.0

    def update(self, field: Density, *, step: int, generator: torch.Generator) -> None:
        """Proposals, wrong at first, gain influence over the first steps."""
        share = min(step / max(self.options.anneal_steps, 1), 1.0)
        self._influence = ANNEAL_SLOPE * share / ((ANNEAL_SLOPE - 1) * share + 1)

    def render(self, field: RadianceField, shot: Shot) -> Rendering:
        """As `Sampler.render`; `loss` of the result is that of every ray, where gradients are recorded."""
        span = shot.span()
        # Evaluation does not depend on how far the training is.
        influence = self._influence if shot.generator is not None else 1.0
        counts = (*self.options.proposal_samples[1:], self.options.samples)
        edges = stratified_edges(shot, self.options.proposal_samples[0])
        proposed: list[tuple[Tensor, Tensor]] = []
        for proposal, count in zip(self.proposals, counts, strict=True):
            weights = interval_weights(cast(Density, proposal), span, edges)
            proposed.append((edges, weights))
            edges = importance_edges(shot, edges, weights.detach() ** influence, count)
        rendering, weights = render_intervals(field, shot, span, edges)
        loss = self._loss(edges, weights, proposed) if torch.is_grad_enabled() else None
        return replace(rendering, loss=loss)

    def _loss(self, edges: Tensor, weights: Tensor, proposed: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Eqs. 13 and 15 of every ray (R,), for the field's weights (R, S) and the proposals' edges and weights."""
        loss = self.options.distortion_weight * distortion_loss(edges, weights)
        for proposed_edges, proposed_weights in proposed:
            excess = interlevel_loss(edges, weights, proposed_edges, proposed_weights)
            loss = loss + self.options.interlevel_weight * excess
        return loss
