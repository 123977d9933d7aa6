"""Losses of proposal sampling (Barron et al. 2022, mip-NeRF 360), per ray, in linear time.

Shape suffixes: R rays, S intervals of the field, K intervals of a proposal.
"""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_WEIGHT = 1e-7
"""Added to weights that are divided by: intervals in empty space have none."""


def interlevel_loss(edges: Tensor, weights: Tensor, proposed_edges: Tensor, proposed: Tensor) -> Tensor:
    """Eq. 13: what the field's weights exceed a proposal's by, (R,): sum_i max(0, w_i - bound_i)^2 / w_i.

    bound_i (Eq. 12) is the sum of the proposal's weights `proposed` (R, K) over its intervals, between
    `proposed_edges` (R, K + 1), that overlap the i-th interval between `edges` (R, S + 1). Gradients reach the
    proposal only, not `weights` (R, S).
    """
    edges, weights = edges.detach(), weights.detach()
    proposed_edges = proposed_edges.contiguous()
    cumulative = torch.nn.functional.pad(torch.cumsum(proposed, dim=1), (1, 0))
    first = torch.searchsorted(proposed_edges, edges[:, :-1].contiguous(), right=True) - 1
    last = torch.searchsorted(proposed_edges, edges[:, 1:].contiguous())
    last = last.clamp(max=proposed.shape[1])
    # An interval without length overlaps nothing; its weight is zero as well.
    bound = cumulative.gather(1, last) - cumulative.gather(1, torch.minimum(first.clamp(min=0), last))
    return ((weights - bound).clamp(min=0).square() / (weights + SMALLEST_WEIGHT)).sum(dim=1)


def distortion_loss(edges: Tensor, weights: Tensor) -> Tensor:
    """Eq. 15: how far apart the weights (R, S) of a ray lie, (R,), between `edges` (R, S + 1) in [0, 1].

    sum_ij w_i w_j |m_i - m_j| + 1/3 sum_i w_i^2 (s_{i+1} - s_i), with m_i in the middle of the i-th interval. The
    double sum is 2 sum_i w_i (m_i sum_{j<i} w_j - sum_{j<i} w_j m_j), as the middles ascend.
    """
    middle = (edges[:, 1:] + edges[:, :-1]) / 2
    moment = weights * middle
    before = torch.cumsum(weights, dim=1) - weights
    moment_before = torch.cumsum(moment, dim=1) - moment
    between = 2 * (weights * (middle * before - moment_before)).sum(dim=1)
    return between + (weights.square() * edges.diff(dim=1)).sum(dim=1) / 3
