"""Rays through a field to pixels: sampling, queries, volume rendering over a background.

Shape suffixes: R rays, S intervals, M occupied samples, C channels.
"""

from __future__ import annotations

import torch

from latentfields.rendering.config import DensityGridConfig
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import RadianceField
from latentfields.rendering.sampling import sample_edges
from latentfields.rendering.spans import BoxSpan, Span
from latentfields.rendering.volume import composite_packed, transmittance_and_weights


def render_rays(
    field: RadianceField, shot: Shot, grid: DensityGrid, *, options: DensityGridConfig
) -> Rendering:
    """Render the rays of `shot` through `field`, which is looked at where `grid` holds something.

    Contract: the grid has been looked at the field (`DensityGrid.update`), or is new, and then skips nothing. Each ray
    is rendered by itself: what others are in the shot changes no more than the last bits. Without a generator in the
    shot the result is deterministic.

    Differentiable in the field, the background and the rays. No gradient reaches the distances of the samples: the
    grid decides them, and it is a constant to the field.

    Note: samples in cells that the grid holds for empty are not looked at, and count as empty. That is what makes this
    fast, and what it costs: up to the grid's `threshold` times the length of the ray in optical depth.

    Returns:
        `features` (R, C), `opacity` (R,) and `depth` (R,); a ray that meets nothing has the background, 0, and the
        distance at which it leaves the box.

    Example, one camera's picture without jitter::

        rays = camera.rays().flatten()
        shot = Shot(rays, background=torch.ones(3), near=0.1, far=4.0)
        picture = render_rays(field, shot, grid, options=DensityGridConfig()).as_images(camera).features  # (1, 3, h, w)
    """
    span = shot.span()
    if not isinstance(span, BoxSpan):
        # Nearly every ray ends on something, and near its start there may be something, too.
        return _render_span(field, shot, span, grid, options)
    leave = span.end
    active, start, end = grid.occupied_range(shot.rays, span.start, leave)
    features = shot.background.expand(len(shot.rays), -1)
    if len(active) == 0:
        return Rendering(features=features, opacity=torch.zeros_like(leave), depth=leave)
    seen = shot[active]
    part = _render_span(field, seen, BoxSpan(seen.rays, start, end), grid, options)
    return Rendering(
        features=features.index_copy(0, active, part.features),
        opacity=torch.zeros_like(leave).index_copy(0, active, part.opacity),
        # The part is empty from `end` on, the ray goes on to `leave`: what passes through ends there.
        depth=leave.index_copy(0, active, part.depth + (1 - part.opacity) * (leave[active] - end)),
    )


def _render_span(
    field: RadianceField, shot: Shot, span: Span, grid: DensityGrid, options: DensityGridConfig
) -> Rendering:
    """Render rays of which everything that is not empty lies in `span`."""
    weights = grid.sampling_weights(*span.bins(options.bins))
    edges = sample_edges(weights, options.samples, jitter=shot.jitter(options.samples - 1))
    intervals = span.intervals(edges)
    points, lengths = intervals.positions, intervals.lengths
    # Only samples that may hold something are looked at: the field is what costs time. They are packed (M,), and the
    # densities of all others stay zero, which is exact for the compositing.
    ray, sample = (grid.occupied(points) & (lengths > 0)).nonzero(as_tuple=True)
    density_packed, features = field(points[ray, sample], shot.rays.directions[ray])
    density = torch.zeros_like(lengths).index_put((ray, sample), density_packed)
    rest, weight = transmittance_and_weights(density, lengths)
    return Rendering(
        features=composite_packed(weight[ray, sample], features, ray, rest, shot.background),
        opacity=1 - rest,
        depth=(weight * intervals.distances).sum(dim=1) + rest * span.end,
    )
