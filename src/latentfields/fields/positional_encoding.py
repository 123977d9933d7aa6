"""Sines and cosines of coordinates at octaves of frequency (Mildenhall et al. 2020, Eq. 4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def positional_encoding(values: Tensor, *, octaves: int, lowest: float = math.pi) -> Tensor:
    """`values` (P, N) followed by their sines and cosines: (P, N (1 + 2 octaves)).

    The angular frequencies are lowest * 2^k for k = 0 .. octaves - 1, in radians per unit of `values`; the lowest one
    of NeRF, pi, has the box [-1, 1] as its period. Columns: the values, then for each octave N sines and N cosines.
    """
    frequencies = lowest * 2.0 ** torch.arange(octaves, dtype=values.dtype, device=values.device)
    angles = values[:, None, :] * frequencies[:, None]
    waves = torch.stack([angles.sin(), angles.cos()], dim=2)
    return torch.cat([values, waves.flatten(1)], dim=1)


def encoded_size(inputs: int, *, octaves: int) -> int:
    """Columns of `positional_encoding` for that many inputs."""
    return inputs * (1 + 2 * octaves)
