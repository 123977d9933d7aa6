"""A field rendered in given intervals along rays, all of them; and new intervals where the weights are.

Shape suffixes: R rays, S intervals, C channels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.renderer import Rendering
from latentfields.rendering.sampler import Density, RadianceField
from latentfields.rendering.sampling import box_segment, resample_edges
from latentfields.rendering.volume import transmittance_and_weights

EXPLORATION = 0.1
"""Share of the samples, relative to an opaque ray, that are spread evenly, so that mistakes can be corrected."""


def along_box(rays: Rays, *, near: float, far: float) -> Callable[[Tensor], Tensor]:
    """Distances of edges (R, S + 1): at 0 a ray enters the box [-1, 1]^3 within [near, far], at 1 it leaves."""
    enter, leave = box_segment(rays, near=near, far=far)
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


def render_intervals(
    field: RadianceField, rays: Rays, distances: Tensor, background: Tensor
) -> tuple[Rendering, Tensor]:
    """Render rays (R,) in the intervals between `distances` (R, S + 1), over `background` (C,).

    Returns the rendering and the weights (R, S). The field is looked at once per interval, in its middle.
    """
    lengths = distances.diff(dim=1)
    directions = rays.directions.repeat_interleave(lengths.shape[1], dim=0)
    density, features = field(_midpoints(rays, distances), directions)
    rest, weights = transmittance_and_weights(density.view_as(lengths), lengths)
    seen = torch.einsum("rs,rsc->rc", weights, features.view(*lengths.shape, -1))
    middle = (distances[:, 1:] + distances[:, :-1]) / 2
    rendering = Rendering(
        features=seen + rest[:, None] * background,
        opacity=1 - rest,
        depth=(weights * middle).sum(dim=1) + rest * distances[:, -1],
    )
    return rendering, weights


def stratified_edges(rays: Rays, count: int, generator: torch.Generator | None) -> Tensor:
    """Edges (R, count + 1) in [0, 1] of even intervals; `generator` moves the inner ones within half their spacing."""
    edges = torch.linspace(0, 1, count + 1, device=rays.origins.device).expand(len(rays), -1)
    if generator is None:
        return edges
    jitter = _jitter(rays, count, generator) / count
    return torch.cat([edges[:, :1], edges[:, 1:-1] + jitter, edges[:, -1:]], dim=1)


@torch.no_grad()
def importance_edges(
    rays: Rays, edges: Tensor, weights: Tensor, count: int, generator: torch.Generator | None
) -> Tensor:
    """Edges (R, count + 1) in [0, 1] of intervals where `weights` (R, S) between `edges` (R, S + 1) are large.

    The weights are not negative; a small floor explores the rest of the ray.
    """
    floored = weights + EXPLORATION * edges.diff(dim=1) + 1e-9
    jitter = None if generator is None else _jitter(rays, count, generator)
    return resample_edges(edges, floored, count, jitter=jitter)


def _jitter(rays: Rays, count: int, generator: torch.Generator) -> Tensor:
    """Numbers (R, count - 1) in [-0.5, 0.5), drawn on the CPU so that they do not depend on the device."""
    return (torch.rand(len(rays), count - 1, generator=generator) - 0.5).to(rays.origins.device)
