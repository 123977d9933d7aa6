"""Rays through a field to pixels: sampling, queries, volume rendering over a background.

Shape suffixes: R rays, S intervals, M occupied samples, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.config import DensityGridConfig
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.sampling import box_segment, sample_edges
from latentfields.rendering.volume import composite_packed, transmittance_and_weights


@dataclass(frozen=True)
class Rendering:
    """What was seen along R rays."""

    features: Tensor
    """(R, C) composited output."""
    opacity: Tensor
    """(R,) in [0, 1]."""
    depth: Tensor
    """(R,) expected distance where the ray is opaque; the far end where nothing was hit."""
    coarse: Tensor | None = None
    """(R, C) output of a coarse network that is to be fitted to the same targets, or None."""
    loss: Tensor | None = None
    """(R,) the sampler's own loss of each ray, weighted, or None."""


def render_rays(
    field: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    grid: DensityGrid,
    rays: Rays,
    background: Tensor,
    *,
    near: float,
    far: float,
    options: DensityGridConfig,
    generator: torch.Generator | None,
) -> Rendering:
    """Render rays (R,) over `background` (C,). Differentiable in the field and the background.

    `field` gives density (M,) and features (M, C) at points (M, 3) seen along unit directions (M, 3), like a `Field`.
    `generator` jitters the samples (training); None is deterministic (evaluation).
    """
    enter, leave = box_segment(rays, near=near, far=far)
    active, start, end = grid.occupied_range(rays, enter, leave)
    features = background.expand(len(rays), -1)
    if len(active) == 0:
        return Rendering(features=features, opacity=torch.zeros_like(leave), depth=leave)
    part = _render_active(field, grid, rays[active], background, start, end, options, generator)
    return Rendering(
        features=features.index_copy(0, active, part.features),
        opacity=torch.zeros_like(leave).index_copy(0, active, part.opacity),
        depth=leave.index_copy(0, active, part.depth + (1 - part.opacity) * (leave[active] - end)),
    )


def _render_active(
    field: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    grid: DensityGrid,
    rays: Rays,
    background: Tensor,
    enter: Tensor,
    leave: Tensor,
    options: DensityGridConfig,
    generator: torch.Generator | None,
) -> Rendering:
    """Render rays of which everything that is not empty lies between `enter` and `leave` (R,)."""
    weights = grid.sampling_weights(rays, enter, leave, bins=options.bins)
    jitter = None
    if generator is not None:
        jitter = (torch.rand(len(rays), options.samples - 1, generator=generator) - 0.5).to(enter.device)
    edges = sample_edges(weights, options.samples, jitter=jitter)
    distances = enter[:, None] + (leave - enter)[:, None] * edges
    lengths = distances.diff(dim=1)
    middle = (distances[:, 1:] + distances[:, :-1]) / 2
    points = rays.origins[:, None] + rays.directions[:, None] * middle[..., None]
    ray, sample = (grid.occupied(points) & (lengths > 0)).nonzero(as_tuple=True)
    density_packed, features = field(points[ray, sample], rays.directions[ray])
    density = torch.zeros_like(middle).index_put((ray, sample), density_packed)
    rest, weight = transmittance_and_weights(density, lengths)
    return Rendering(
        features=composite_packed(weight[ray, sample], features, ray, rest, background),
        opacity=1 - rest,
        depth=(weight * middle).sum(dim=1) + rest * leave,
    )
