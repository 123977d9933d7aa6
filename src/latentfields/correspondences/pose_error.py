"""The distance of two camera poses, and the weight of a pair of images by it (LRF App. A.1).

Shape suffixes: N cameras, M pairs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.correspondences.config import Weighting
from latentfields.errors import InputError

_SMALLEST_ERROR = 1e-6


def unit_spread(poses: Tensor, *, source: str) -> Tensor:
    """Camera-to-world poses (N, 4, 4) in a unit of length in which the centres' RMS distance to their mean is 1.

    The error of Eq. 12 adds rotations to translations, so it needs a unit, and that of a reconstruction is arbitrary.
    Raises InputError, naming `source`, when poses are not finite or all centres coincide.
    """
    if not poses.isfinite().all():
        raise InputError(source, "degenerate poses: expected finite numbers")
    centres = poses[:, :3, 3]
    spread = (centres - centres.mean(dim=0)).square().sum(dim=1).mean().sqrt()
    if spread <= 1e-9 * (1 + centres.abs().max()):
        raise InputError(source, "degenerate poses: all cameras are in one place; expected a baseline")
    scaled = poses.clone()
    scaled[:, :3, 3] /= spread
    return scaled


def absolute_pose_error(first: Tensor, second: Tensor) -> Tensor:
    """APE_ij (M,) = ||P_i^-1 P_j - I||_F of rigid poses P_i and P_j, both (M, 4, 4): LRF Eq. 12."""
    identity = torch.eye(4, dtype=first.dtype, device=first.device)
    errors: Tensor = torch.linalg.matrix_norm(torch.linalg.inv(first) @ second - identity)
    return errors


def pair_weights(errors: Tensor, *, weighting: Weighting) -> Tensor:
    """lambda_ij (M,), summing to 1, of the pairs of one batch from their pose errors APE_ij (M,): LRF App. A.1.

    "wide" is the paper's APE_ij / sum_k APE_k: the farther apart two views are, the more their pair weighs. "narrow"
    puts 1 / APE in its place. Pairs without any error weigh like those with an error of 1e-6.
    """
    errors = errors.clamp(min=_SMALLEST_ERROR)
    values = errors if weighting == "wide" else 1 / errors
    return values / values.sum()
