"""Sampling along rays: the part inside the scene, and intervals drawn from a piecewise-constant density.

Shape suffixes: R rays, K bins, S intervals.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.cameras import Rays

SMALLEST_SLOPE = 1e-9
"""Of a ray along an axis: rays along a face of the box are taken for leaving it very far away, not at infinity, whose
products with zero are not numbers."""

SMALLEST_MASS = 1e-9
"""Of a bin: one without mass gets no quantile, and its fraction does not matter."""


def box_segment(rays: Rays, *, near: float, far: float) -> tuple[Tensor, Tensor]:
    """Distances (R,), (R,) at which rays enter and leave the box [-1, 1]^3, within [near, far].

    A ray that misses the box gets an empty segment: both distances are equal.
    """
    smallest = torch.full_like(rays.directions, SMALLEST_SLOPE)
    inverse = 1.0 / torch.where(rays.directions.abs() < SMALLEST_SLOPE, smallest, rays.directions)
    first, second = (-1.0 - rays.origins) * inverse, (1.0 - rays.origins) * inverse
    enter = torch.minimum(first, second).amax(dim=-1).clamp(min=near, max=far)
    leave = torch.maximum(first, second).amin(dim=-1).clamp(max=far)
    return enter, torch.maximum(enter, leave)


def sample_edges(weights: Tensor, count: int, *, jitter: Tensor | None) -> Tensor:
    """Edges (R, count + 1) in [0, 1] of intervals of equal mass under piecewise-constant `weights` (R, K).

    The K bins divide [0, 1] evenly; weights are positive. The first and last edges stay at 0 and 1, so that the
    intervals cover the whole segment. `jitter` (R, count - 1) in [-0.5, 0.5] moves the inner quantiles by that
    fraction of their spacing (stratified sampling); None is deterministic.
    """
    bins = weights.shape[-1]
    above, fraction = _quantiles(weights, count, jitter)
    inner = (above - 1 + fraction) / bins
    return torch.nn.functional.pad(torch.nn.functional.pad(inner, (1, 0)), (0, 1), value=1.0)


def resample_edges(edges: Tensor, weights: Tensor, count: int, *, jitter: Tensor | None) -> Tensor:
    """As `sample_edges`, for `weights` (R, K) of uneven bins between `edges` (R, K + 1), which ascend from 0 to 1."""
    above, fraction = _quantiles(weights, count, jitter)
    low, high = edges.gather(1, above - 1), edges.gather(1, above)
    return torch.cat([edges[:, :1], low + fraction * (high - low), edges[:, -1:]], dim=1)


def _quantiles(weights: Tensor, count: int, jitter: Tensor | None) -> tuple[Tensor, Tensor]:
    """The bins' upper edges (R, count - 1), from 1 to K, and the fractions of those bins at which quantiles lie."""
    cumulative = torch.cumsum(weights, dim=-1)
    cumulative = torch.nn.functional.pad(cumulative / cumulative[:, -1:], (1, 0))
    quantiles = torch.arange(1, count, device=weights.device, dtype=weights.dtype).expand(len(weights), -1)
    quantiles = (quantiles if jitter is None else quantiles + jitter) / count
    # Every quantile lies between the edges of one bin; rounding may put the last ones past the end.
    above = torch.searchsorted(cumulative, quantiles.contiguous(), right=True).clamp(1, weights.shape[-1])
    low, high = cumulative.gather(1, above - 1), cumulative.gather(1, above)
    return above, (quantiles - low) / (high - low).clamp(min=SMALLEST_MASS)
