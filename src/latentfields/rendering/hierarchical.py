"""Hierarchical sampling: a coarse pass tells where the fine pass looks (Mildenhall et al. 2020, Sec. 5.2).

Shape suffixes: R rays, S intervals.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from latentfields.cameras import Rays
from latentfields.rendering.config import HierarchicalSamplingConfig
from latentfields.rendering.intervals import (
    along_box,
    importance_edges,
    interval_weights,
    render_intervals,
    stratified_edges,
)
from latentfields.rendering.renderer import Rendering
from latentfields.rendering.sampler import RadianceField, Sampler


class HierarchicalSampler(Sampler):
    """Even intervals for a coarse network; for the field, their union with intervals where that saw something.

    The network is looked at in the middle of intervals, where the paper looks at their borders.
    """

    def __init__(self, options: HierarchicalSamplingConfig, coarse: nn.Module | None) -> None:
        """`coarse` is a field of its own, fitted to the same targets; None uses the rendered field's densities."""
        super().__init__()
        self.options = options
        self.coarse = coarse

    def render(
        self,
        field: RadianceField,
        rays: Rays,
        background: Tensor,
        *,
        near: float,
        far: float,
        generator: torch.Generator | None,
    ) -> Rendering:
        """As `Sampler.render`; `coarse` of the result is what the coarse network renders."""
        distances = along_box(rays, near=near, far=far)
        edges = stratified_edges(rays, self.options.coarse_samples, generator)
        coarse = None
        if self.coarse is None:
            with torch.no_grad():
                weights = interval_weights(field, rays, distances(edges))
        else:
            seen, weights = render_intervals(
                cast(RadianceField, self.coarse), rays, distances(edges), background
            )
            coarse = seen.features
        added = importance_edges(rays, edges, weights.detach(), self.options.fine_samples + 1, generator)
        # The added edges lie between the coarse ones: their own ends would make empty intervals.
        union = torch.cat([edges, added[:, 1:-1]], dim=1).sort(dim=1).values
        fine, _ = render_intervals(field, rays, distances(union), background)
        return Rendering(fine.features, fine.opacity, fine.depth, coarse=coarse)
