"""Fused planes: an object's own planes beside a weighted sum of base planes (Fused-Planes, Sec. 3.1).

Shape suffixes: S objects, M base Tri-Planes, K plane resolution, F plane features.
"""

from __future__ import annotations

import torch
from torch import Tensor


def macro_planes(base: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """T_i^mac = sum over k of w_i^k B_k, plus a scalar: planes (S, 3, K, K, F) of S objects.

    `base` is (M, 3, K, K, F), `weights` (S, M): one weight for all three planes of a base Tri-Plane; `bias` (S,).
    Differentiable in all of them.
    """
    # One product of matrices for all objects: so is its gradient, of the largest of all tensors.
    summed = weights @ base.flatten(1)
    return (summed + bias[:, None]).view(-1, *base.shape[1:])


def fused_planes(micro: Tensor, macro: Tensor) -> Tensor:
    """T_i: an object's own planes (3, K, K, F_micro) and its macro planes (3, K, K, F_macro), concatenated."""
    return torch.cat([micro, macro], dim=-1) if micro.shape[-1] else macro
