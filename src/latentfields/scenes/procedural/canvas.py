"""The drawing surface of procedural textures, and its way into a material."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentfields.scenes.objects.meshes import Material
from latentfields.scenes.procedural.noise import fractal_noise

Array = NDArray[np.float64]

_OVERSAMPLING = 2


@dataclass(frozen=True, eq=False)
class Canvas:
    """Coordinates of the points to colour, where columns and rows cross, and what a pattern may know about them."""

    u: Array
    """(H, W) from 0 to 1, left to right; patterns repeat in u so that they close around a lathe."""
    v: Array
    """(H, W) from 0 to 1, bottom to top."""
    aspect: float
    """Width over height of the surface that the canvas covers, so that round dots stay round."""
    random: np.random.Generator
    """The source of every choice."""

    def noise(self, cells: int, *, octaves: int = 4) -> Array:
        """(H, W) noise of unit variance with about `cells` features around u and as large ones along v."""
        rows = max(1, round(cells / self.aspect))
        return fractal_noise(self.random, self.u[0], self.v[:, 0], cells=(cells, rows), octaves=octaves)

    def rows_for(self, columns: int) -> int:
        """The number of square cells along v when `columns` fit along u; at least one."""
        return max(1, round(columns / self.aspect))

    def band(self, low: float, high: float) -> Canvas:
        """The canvas of a horizontal band, in its own coordinates."""
        return replace(self, v=(self.v - low) / (high - low), aspect=self.aspect / (high - low))


Pattern = Callable[[Canvas, Array], Array]
"""A function (canvas, colors) -> image that closes around u.

`colors` (C, 3) has the ground colour first, the image is (H, W, 3), both sRGB in [0, 1]. The smallest details
are about 1/100 of the canvas, so that they survive in small pictures.
"""


def blank(random: np.random.Generator, *, aspect: float, size: int = 256) -> Canvas:
    """A canvas of about size x size texels for a surface of the given width over height."""
    width = int(np.clip(2 ** np.rint(np.log2(size * np.sqrt(aspect))), 64, 512)) * _OVERSAMPLING
    height = int(np.clip(2 ** np.rint(np.log2(size / np.sqrt(aspect))), 64, 512)) * _OVERSAMPLING
    v, u = np.mgrid[0:height, 0:width]
    return Canvas(u=(u + 0.5) / width, v=1 - (v + 0.5) / height, aspect=aspect, random=random)


def pick(colors: Array, index: NDArray[np.integer]) -> Array:
    """Colours (..., 3) for indices, cyclic."""
    picked: Array = colors[index % len(colors)]
    return picked


def blend(low: Array, high: Array, amount: Array) -> Array:
    """From `low` to `high` (both broadcast to (..., 3)) by `amount` (...), clipped to [0, 1]."""
    weight = np.clip(amount, 0, 1)[..., None]
    return low * (1 - weight) + high * weight


def finished(canvas: Canvas, image: Array, *, mottle: float = 0.05) -> Material:
    """An opaque material from a painted canvas (H, W, 3), sRGB in [0, 1], with slight natural unevenness."""
    s = _OVERSAMPLING
    # Sums of whole pictures: a mean over both axes of each block takes several times as long.
    parts = [image[row::s, column::s] for row in range(s) for column in range(s)]
    pixels = sum(parts[1:], parts[0]) / s**2
    coarse = replace(canvas, u=canvas.u[::s, ::s], v=canvas.v[::s, ::s])
    pixels = np.clip(pixels * (1 + mottle * coarse.noise(6))[..., None], 0, 1)
    rgba = np.full((*pixels.shape[:2], 4), 255, np.uint8)
    rgba[..., :3] = np.rint(pixels * 255)
    return Material(texture=rgba)
