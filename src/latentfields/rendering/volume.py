"""Volume rendering of piecewise-constant media (Max 1995; Eqs. 2 and 3 of Mildenhall et al. 2020).

Shape suffixes: R rays, S intervals per ray, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def transmittance_and_weights(density: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The transmittance to each interval, and the weight that each contributes with.

    `density` (R, S) is per unit length, constant over intervals of `lengths` (R, S), front to back.
    Returns the transmittance left behind the last interval (R,) and the weights (R, S),
    T_i (1 - exp(-sigma_i delta_i)) with T_i = exp(-sum_{j<i} sigma_j delta_j). Weights and rest sum to one.
    """
    optical_depth = density * lengths
    transmittance = torch.exp(-torch.nn.functional.pad(torch.cumsum(optical_depth, dim=-1), (1, 0)))
    return transmittance[:, -1], transmittance[:, :-1] * -torch.expm1(-optical_depth)


def composite_packed(
    weights: Tensor, values: Tensor, rays: Tensor, rest: Tensor, background: Tensor
) -> Tensor:
    """Expected value along each ray over a background, (R, C), of samples of which only some exist.

    `weights` (M,) and `values` (M, C) belong to the rays with indices `rays` (M,); `rest` (R,) is the transmittance
    behind the last interval, `background` (C,).
    """
    out = rest[:, None] * background
    return out.index_add(0, rays, weights[:, None] * values)
