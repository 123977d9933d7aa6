"""Hierarchical sampling: a coarse pass tells where the fine pass looks (Mildenhall et al. 2020, Sec. 5.2).

Shape suffixes: R rays, S intervals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import nn

from latentfields.rendering.config import HierarchicalSamplingConfig
from latentfields.rendering.intervals import (
    importance_edges,
    interval_weights,
    render_intervals,
    stratified_edges,
)
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import RadianceField, Sampler


class HierarchicalSampler(Sampler):
    """Even intervals for a coarse network; for the field, intervals where that saw something, and their union.

    The network is looked at in the middle of intervals, where the paper looks at their borders.
    """

    def __init__(self, options: HierarchicalSamplingConfig, coarse: nn.Module | None) -> None:
        """`coarse` is a field of its own, fitted to the same targets; None uses the rendered field's densities."""
        super().__init__()
        self.options = options
        self.coarse = coarse

    def render(self, field: RadianceField, shot: Shot) -> Rendering:
        """As `Sampler.render`; `coarse` of the result is what the coarse network renders."""
        span = shot.span()
        edges = stratified_edges(shot, self.options.coarse_samples)
        coarse = None
        if self.coarse is None:
            with torch.no_grad():
                weights = interval_weights(field, span, edges)
        else:
            seen, weights = render_intervals(cast(RadianceField, self.coarse), shot, span, edges)
            coarse = seen.features
        if self.options.rendered == "added":
            edges = importance_edges(shot, edges, weights.detach(), self.options.fine_samples)
            fine, _ = render_intervals(field, shot, span, edges)
            return replace(fine, coarse=coarse)
        added = importance_edges(shot, edges, weights.detach(), self.options.fine_samples + 1)
        # The added edges lie between the coarse ones: their own ends would make empty intervals.
        union = torch.cat([edges, added[:, 1:-1]], dim=1).sort(dim=1).values
        fine, _ = render_intervals(field, shot, span, union)
        return replace(fine, coarse=coarse)
