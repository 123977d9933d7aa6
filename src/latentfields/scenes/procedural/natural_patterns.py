"""Patterns from noise: stone, wood, glaze, hides. See `canvas.Pattern`."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.procedural.canvas import Array, Canvas, blend, pick


def plain(canvas: Canvas, colors: Array) -> Array:
    """The ground colour, clouded."""
    return blend(colors[0], colors[0] * 0.8, 0.5 + 0.35 * canvas.noise(4))


def marble(canvas: Canvas, colors: Array) -> Array:
    """Veins through clouded stone."""
    warp = canvas.noise(3, octaves=5)
    turns = canvas.random.integers(1, 4)
    vein = np.abs(np.sin(np.pi * (turns * canvas.u + canvas.random.uniform(1, 4) * canvas.v + 0.9 * warp)))
    clouded = blend(colors[0], colors[3 % len(colors)], 0.5 + 0.4 * canvas.noise(2, octaves=3))
    return blend(colors[1], clouded, np.clip(vein * 3.0, 0, 1))


def wood(canvas: Canvas, colors: Array) -> Array:
    """Grain along v: growth rings distorted by noise, and fine fibres."""
    u, v = canvas.u, canvas.v
    slow = canvas.noise(2, octaves=3)
    rings = np.mod(canvas.random.integers(4, 9) * u + 0.5 * slow + 0.25 * v, 1)
    tone = np.where(rings < 0.8, rings / 0.8, (1 - rings) / 0.2)
    fibre = 0.25 * np.sin(2 * np.pi * (40 * u + 1.5 * slow))
    return blend(colors[0], colors[1], 0.8 * tone + fibre)


def patches(canvas: Canvas, colors: Array) -> Array:
    """Blotches with clear edges: hides, camouflage, maps."""
    field = canvas.noise(int(canvas.random.integers(3, 6)), octaves=3)
    image: Array = np.where((field > 0.25)[..., None], colors[1], colors[0])
    if canvas.random.random() < 0.6:
        image = np.where((field < -0.8)[..., None], colors[2], image)
    return image


def cells(canvas: Canvas, colors: Array) -> Array:
    """Irregular cells: cracked glaze, giraffe, terrazzo, stained glass."""
    random = canvas.random
    columns = int(random.integers(6, 11))
    rows = canvas.rows_for(columns)
    x, y = canvas.u * columns, canvas.v * rows
    jitter = random.uniform(0.1, 0.9, (rows + 2, columns, 2))
    nearest, second = np.full(x.shape, 9.0), np.full(x.shape, 9.0)
    owner = np.zeros(x.shape, int)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            i, j = np.floor(y).astype(int) + dy, np.floor(x).astype(int) + dx
            seed = jitter[i % (rows + 2), j % columns]
            distance = np.hypot(j + seed[..., 0] - x, i + seed[..., 1] - y)
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            owner = np.where(closer, (i % (rows + 2)) * columns + j % columns, owner)
            nearest = np.where(closer, distance, nearest)
    table = random.integers(0, random.integers(1, len(colors)), (rows + 2) * columns)
    return np.where((second - nearest < 0.12)[..., None], colors[-1], pick(colors, table[owner]))


def glaze(canvas: Canvas, colors: Array) -> Array:
    """A gradient, a second glaze that runs down from the top, and speckles."""
    base = blend(colors[0], colors[3 % len(colors)], canvas.v + 0.15 * canvas.noise(3))
    height = canvas.random.uniform(0.45, 0.75) + 0.10 * canvas.noise(8, octaves=2)
    image = np.where((canvas.v > height)[..., None], colors[1], base)
    image = np.where((np.abs(canvas.v - height) < 0.015)[..., None], colors[1] * 0.75, image)
    return np.where((canvas.noise(40, octaves=1) > 1.6)[..., None], colors[2], image)
