"""A field rendered in given intervals along rays, all of them; and new intervals where the weights are.

Shape suffixes: R rays, S intervals, C channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import Density, RadianceField
from latentfields.rendering.sampling import resample_edges
from latentfields.rendering.volume import transmittance_and_weights

EXPLORATION = 0.1
"""Share of the samples, relative to an opaque ray, that are spread evenly, so that mistakes can be corrected."""

SMALLEST_WEIGHT = 1e-9
"""Added to every interval's weight: intervals without length, of rays that miss the box, would divide by zero."""


def along_box(shot: Shot) -> Callable[[Tensor], Tensor]:
    """Distances of edges (R, S + 1): at 0 a ray enters the box [-1, 1]^3 within [near, far], at 1 it leaves."""
    enter, leave = shot.segment()
    return lambda edges: enter[:, None] + (leave - enter)[:, None] * edges


def _midpoints(rays: Rays, distances: Tensor) -> Tensor:
    """Points (R S, 3) in the middle of the intervals between `distances` (R, S + 1)."""
    middle = (distances[:, 1:] + distances[:, :-1]) / 2
    return (rays.origins[:, None] + rays.directions[:, None] * middle[..., None]).flatten(0, 1)


def interval_weights(field: Density, rays: Rays, distances: Tensor) -> Tensor:
    """Rendering weights (R, S) of a density in the intervals between `distances` (R, S + 1), front to back."""
    lengths = distances.diff(dim=1)
    density = field.density(_midpoints(rays, distances)).view_as(lengths)
    return transmittance_and_weights(density, lengths)[1]


def render_intervals(field: RadianceField, shot: Shot, distances: Tensor) -> tuple[Rendering, Tensor]:
    """Render the rays of `shot` in the intervals between `distances` (R, S + 1), over its background.

    Returns the rendering and the weights (R, S). The field is looked at once per interval, in its middle.
    """
    lengths = distances.diff(dim=1)
    directions = shot.rays.directions.repeat_interleave(lengths.shape[1], dim=0)
    density, features = field(_midpoints(shot.rays, distances), directions)
    rest, weights = transmittance_and_weights(density.view_as(lengths), lengths)
    seen = torch.einsum("rs,rsc->rc", weights, features.view(*lengths.shape, -1))
    middle = (distances[:, 1:] + distances[:, :-1]) / 2
    rendering = Rendering(
        features=seen + rest[:, None] * shot.background,
        opacity=1 - rest,
        depth=(weights * middle).sum(dim=1) + rest * distances[:, -1],
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
