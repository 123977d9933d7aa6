"""Smooth random fields for textures and surfaces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def fractal_noise(
    random: np.random.Generator, u: Array, v: Array, *, cells: tuple[int, int], octaves: int = 4
) -> Array:
    """(H, W) noise of unit variance, roughly, where columns u (W,) and rows v (H,) in [0, 1] cross; periodic in both.

    `cells` counts features along u and v in the coarsest octave; each further octave halves their size and
    strength.
    """
    total, power = np.zeros((len(v), len(u))), 0.0
    for octave in range(octaves):
        columns, rows = cells[0] * 2**octave, cells[1] * 2**octave
        lattice = random.standard_normal((rows, columns))
        total += 0.5**octave * _interpolate(lattice, u * columns, v * rows)
        power += 0.25**octave
    result: Array = total / np.sqrt(0.45 * power)
    return result


def solid_noise(random: np.random.Generator, points: Array, *, cells: float, octaves: int = 4) -> Array:
    """Noise of unit variance, roughly, at points (P, 3); `cells` counts features per unit length."""
    total, power = np.zeros(len(points)), 0.0
    for octave in range(octaves):
        lattice = random.standard_normal((32, 32, 32))
        total += 0.5**octave * _interpolate_solid(lattice, points * cells * 2**octave + 16.0)
        power += 0.25**octave
    result: Array = total / np.sqrt(0.3 * power)
    return result


def _fade(t: Array) -> Array:
    return t * t * (3 - 2 * t)


def _interpolate(lattice: Array, x: Array, y: Array) -> Array:
    """Where columns x (W,) and rows y (H,) cross: first along the few rows of the lattice, then between them."""
    rows, columns = lattice.shape
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = _fade(x - x0), _fade(y - y0)[:, None]
    along = lattice[:, x0 % columns] * (1 - fx) + lattice[:, (x0 + 1) % columns] * fx
    result: Array = along[y0 % rows] * (1 - fy) + along[(y0 + 1) % rows] * fy
    return result


def _interpolate_solid(lattice: Array, points: Array) -> Array:
    size = lattice.shape[0]
    low = np.floor(points).astype(int)
    fade = _fade(points - low)
    total = np.zeros(len(points))
    for corner in np.ndindex(2, 2, 2):
        offset = np.array(corner)
        weight = np.where(offset, fade, 1 - fade).prod(axis=1)
        i, j, k = ((low + offset) % size).T
        total += weight * lattice[i, j, k]
    return total
