"""A field rendered in given intervals along rays, all of them; and new intervals where the weights are.

Shape suffixes: R rays, S intervals, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import Density, RadianceField
from latentfields.rendering.sampling import resample_edges
from latentfields.rendering.spans import Span
from latentfields.rendering.volume import transmittance_and_weights

EXPLORATION = 0.1
"""Share of the samples, relative to an opaque ray, that are spread evenly, so that mistakes can be corrected."""

SMALLEST_WEIGHT = 1e-9
"""Added to every interval's weight: intervals without length, of rays that miss the box, would divide by zero."""


def interval_weights(field: Density, span: Span, edges: Tensor) -> Tensor:
    """Rendering weights (R, S) of a density in the intervals between `edges` (R, S + 1) in [0, 1], front to back."""
    intervals = span.intervals(edges)
    density = field.density(intervals.positions.flatten(0, 1)).view_as(intervals.lengths)
    return transmittance_and_weights(density, intervals.lengths)[1]


def render_intervals(field: RadianceField, shot: Shot, span: Span, edges: Tensor) -> tuple[Rendering, Tensor]:
    """Render the rays of `shot` in the intervals of `span` between `edges` (R, S + 1) in [0, 1], over its background.

    Returns the rendering and the weights (R, S). The field is looked at once per interval, in its middle.
    """
    intervals = span.intervals(edges)
    lengths = intervals.lengths
    directions = shot.rays.directions.repeat_interleave(lengths.shape[1], dim=0)
    density, features = field(intervals.positions.flatten(0, 1), directions)
    rest, weights = transmittance_and_weights(density.view_as(lengths), lengths)
    seen = torch.einsum("rs,rsc->rc", weights, features.view(*lengths.shape, -1))
    rendering = Rendering(
        features=seen + rest[:, None] * shot.background,
        opacity=1 - rest,
        depth=(weights * intervals.distances).sum(dim=1) + rest * span.end,
    )
    return rendering, weights


def stratified_edges(shot: Shot, count: int) -> Tensor:
    """Edges (R, count + 1) in [0, 1] of even intervals; jitter moves the inner ones within half their spacing."""
    edges = torch.linspace(0, 1, count + 1, device=shot.rays.origins.device).expand(len(shot.rays), -1)
    jitter = shot.jitter(count - 1)
    if jitter is None:
        return edges
    return torch.cat([edges[:, :1], edges[:, 1:-1] + jitter / count, edges[:, -1:]], dim=1)


@torch.no_grad()
def importance_edges(shot: Shot, edges: Tensor, weights: Tensor, count: int) -> Tensor:
    """Edges (R, count + 1) in [0, 1] of intervals where `weights` (R, S) between `edges` (R, S + 1) are large.

    The weights are not negative; a small floor explores the rest of the ray.
    """
    floored = weights + EXPLORATION * edges.diff(dim=1) + SMALLEST_WEIGHT
    return resample_edges(edges, floored, count, jitter=shot.jitter(count - 1))
