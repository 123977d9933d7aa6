"""Volume rendering of piecewise-constant media (Max 1995; Eqs. 2 and 3 of Mildenhall et al. 2020).

Shape suffixes: R rays, S intervals per ray, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def transmittance_and_weights(density: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """What reaches and what each interval contributes.

    `density` (R, S) is per unit length, constant over intervals of `lengths` (R, S), front to back.
    Returns the transmittance left behind the last interval (R,) and the weights (R, S),
    T_i (1 - exp(-sigma_i delta_i)) with T_i = exp(-sum_{j<i} sigma_j delta_j). Weights and rest sum to one.
    """
    optical_depth = density * lengths
    accumulated = torch.cumsum(optical_depth, dim=-1)
    before = torch.exp(optical_depth - accumulated)
    weights = before * -torch.expm1(-optical_depth)
    return torch.exp(-accumulated[:, -1]), weights


def composite(weights: Tensor, values: Tensor, rest: Tensor, background: Tensor) -> Tensor:
    """Expected value along each ray over a background: (R, C).

    `weights` (R, S), `values` (R, S, C), `rest` (R,) the transmittance behind the last interval, `background` (C,).
    """
    return (weights[..., None] * values).sum(dim=1) + rest[:, None] * background


def composite_packed(
    weights: Tensor, values: Tensor, rays: Tensor, rest: Tensor, background: Tensor
) -> Tensor:
    """`composite` for samples of which only some exist.

    `weights` (M,) and `values` (M, C) belong to the rays with indices `rays` (M,); `rest` (R,), `background` (C,).
    """
    out = rest[:, None] * background
    return out.index_add(0, rays, weights[:, None] * values)
