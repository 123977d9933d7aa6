"""From patterns to materials."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from latentfields.scenes.objects.meshes import Material
from latentfields.scenes.procedural.canvas import Array, Canvas, Pattern, blank, finished
from latentfields.scenes.procedural.geometric_patterns import (
    checks,
    dots,
    frieze,
    motifs,
    scales,
    stripes,
    tartan,
    weave,
    zigzag,
)
from latentfields.scenes.procedural.natural_patterns import cells, glaze, marble, patches, plain, wood
from latentfields.scenes.procedural.palettes import METALS, WOODS, named_palette

_ZONE_PATTERNS: tuple[Pattern, ...] = (stripes, zigzag, checks, dots, motifs, frieze, frieze, plain, scales)


def zones(canvas: Canvas, colors: Array) -> Array:
    """Three to five horizontal bands, each with a pattern of its own, parted by lines."""
    random = canvas.random
    count = int(random.integers(3, 6))
    edges = np.concatenate([[0.0], np.cumsum(random.uniform(0.4, 1.6, count))])
    edges /= edges[-1]
    line = colors[random.integers(len(colors))]
    image: Array = np.broadcast_to(line, (*canvas.u.shape, 3)).copy()
    for low, high in pairwise(edges):
        inside = (canvas.v[:, 0] > low + 0.012) & (canvas.v[:, 0] < high - 0.012)
        if not inside.any():
            continue
        window = canvas.band(low, high)
        window = Canvas(u=window.u[inside], v=window.v[inside], aspect=window.aspect, random=random)
        order = np.concatenate([random.permutation(len(colors) - 1), [len(colors) - 1]])
        pattern = _ZONE_PATTERNS[random.integers(len(_ZONE_PATTERNS))]
        image[inside] = pattern(window, colors[order])
    return image


POTTERY: tuple[Pattern, ...] = (zones, zones, glaze, marble, cells, zigzag, motifs, dots, stripes, patches)


FABRIC: tuple[Pattern, ...] = (tartan, stripes, checks, dots, zigzag, motifs, weave, patches)


LEATHER: tuple[Pattern, ...] = (motifs, scales, cells, patches, weave, stripes, tartan)


STONE: tuple[Pattern, ...] = (marble, cells, patches)


def painted(
    random: np.random.Generator,
    patterns: tuple[Pattern, ...],
    colors: Array,
    *,
    aspect: float = 2.0,
    mottle: float = 0.05,
    size: int = 256,
) -> Material:
    """A material with one of some patterns, for a surface of the given width over height.

    The texture has about size x size texels; small parts need fewer.
    """
    canvas = blank(random, aspect=aspect, size=size)
    return finished(canvas, patterns[random.integers(len(patterns))](canvas, colors), mottle=mottle)


def dyed(random: np.random.Generator, color: Array, *, mottle: float = 0.08) -> Material:
    """A material of one sRGB colour (3,), clouded: trims, handles, linings."""
    canvas = blank(random, aspect=2.0, size=96)
    return finished(canvas, plain(canvas, color[None]), mottle=mottle)


def wood_paint_or_metal(random: np.random.Generator, colors: Array) -> Material:
    """A material for frames and legs."""
    kind = random.random()
    if kind < 0.6:
        return painted(random, (wood,), named_palette(random, WOODS), aspect=0.3)
    return dyed(random, colors[random.integers(1, 5)] if kind < 0.8 else named_palette(random, METALS)[0])
