"""Anisotropic 3D Gaussians, the primitives of splatting (Kerbl et al. 2023, Sec. 4; LRF, Eq. 8).

Shape suffixes: N Gaussians.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.rendering.splatting.constants import LEAST_LENGTH


@dataclass(frozen=True)
class Gaussians:
    """Shapes and opacities of N Gaussians in the normalised frame of the scene; features are kept elsewhere."""

    means: Tensor
    """(N, 3) centres."""
    rotations: Tensor
    """(N, 4) quaternions w, x, y, z from the principal axes to the scene, of any length."""
    scales: Tensor
    """(N, 3) standard deviations along the principal axes, > 0."""
    opacities: Tensor
    """(N,) in [0, 1]."""

    def __post_init__(self) -> None:
        n = self.means.shape[0]
        assert self.means.shape == (n, 3), self.means.shape
        assert self.rotations.shape == (n, 4), self.rotations.shape
        assert self.scales.shape == (n, 3), self.scales.shape
        assert self.opacities.shape == (n,), self.opacities.shape

    def __len__(self) -> int:
        return self.means.shape[0]


def rotation_matrices(quaternions: Tensor) -> Tensor:
    """Rotations (N, 3, 3) of quaternions (N, 4), w, x, y, z, of any length; the identity for a zero one."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1, eps=LEAST_LENGTH).unbind(-1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=1)
