"""Patterns on lattices: stripes, checks, dots, tiles. See `canvas.Pattern`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentfields.scenes.procedural.canvas import Array, Canvas, pick

Cell = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Row and column of the lattice cell that a point lies in."""


def stripes(canvas: Canvas, colors: Array) -> Array:
    """Bands of several widths: upright, level or slanting."""
    random = canvas.random
    turns = int(random.integers(3, 8))
    kind = random.choice(["upright", "level", "slanting"])
    if kind == "upright":
        position = turns * canvas.u
    elif kind == "level":
        position = canvas.v * max(1.0, turns / 2 / canvas.aspect)
    else:
        position = turns * canvas.u + random.choice([-1, 1]) * canvas.rows_for(turns) * canvas.v
    return pick(colors, _band_table(random, len(colors))[(np.mod(position, 1) * 16).astype(int)])


def zigzag(canvas: Canvas, colors: Array) -> Array:
    """Chevrons, or waves."""
    random = canvas.random
    turns = int(random.integers(5, 12))
    phase = np.mod(turns * canvas.u, 1)
    shape = np.abs(2 * phase - 1) if random.random() < 0.6 else 0.5 + 0.5 * np.cos(2 * np.pi * phase)
    position = (
        canvas.v * canvas.rows_for(turns) * random.choice([0.5, 1.0]) + random.uniform(0.2, 0.6) * shape
    )
    return pick(colors, _band_table(random, len(colors))[(np.mod(position, 1) * 16).astype(int)])


def checks(canvas: Canvas, colors: Array) -> Array:
    """A chequerboard, upright or as lozenges with a dot at every crossing."""
    random = canvas.random
    columns = 2 * int(random.integers(4, 9))
    x, y = columns * canvas.u, canvas.rows_for(columns) * canvas.v
    if random.random() < 0.5:
        return pick(colors, np.floor(x).astype(int) + np.floor(y).astype(int) & 1)
    x, y = x / 2, y / 2
    first, second = np.floor(x + y).astype(int), np.floor(x - y).astype(int)
    image = pick(colors, (first + second) & 1)
    near = np.hypot(np.mod(x + 0.5, 1) - 0.5, np.mod(y + 0.5, 1) - 0.5) < 0.16
    return np.where(near[..., None], colors[2], image)


def tartan(canvas: Canvas, colors: Array) -> Array:
    """Crossing bands that mix where they overlap."""
    turns = int(canvas.random.integers(3, 7))
    table = _band_table(canvas.random, len(colors))
    warp = pick(colors, table[(np.mod(turns * canvas.u, 1) * 16).astype(int)])
    weft = pick(colors, table[(np.mod(canvas.rows_for(turns) * canvas.v, 1) * 16).astype(int)])
    return (warp + weft) / 2


def dots(canvas: Canvas, colors: Array) -> Array:
    """Dots or rings on a staggered grid, each of its own colour and size."""
    x, y, cell = _staggered_cells(canvas, int(canvas.random.integers(6, 14)))
    radius = 0.32 + canvas.random.uniform(-0.08, 0.08) + 0.08 * _per_cell(canvas, cell)
    distance = np.hypot(x, y)
    motif = pick(colors, 1 + _choice_per_cell(canvas, cell, len(colors) - 1))
    image = np.where((distance < radius)[..., None], motif, colors[0])
    if canvas.random.random() < 0.4:
        image = np.where((distance < 0.5 * radius)[..., None], colors[0], image)
    return image


def motifs(canvas: Canvas, colors: Array) -> Array:
    """Flowers, stars or leaves on a staggered grid."""
    random = canvas.random
    x, y, cell = _staggered_cells(canvas, int(random.integers(4, 9)))
    petals = int(random.choice([2, 3, 4, 5, 6, 8]))
    angle = np.arctan2(y, x) + random.uniform(0, 2 * np.pi) * _per_cell(canvas, cell)
    wave = np.abs(np.cos(petals * angle / 2)) if random.random() < 0.6 else 0.5 + 0.5 * np.cos(petals * angle)
    distance = np.hypot(x, y)
    reach = 0.42 * (0.30 + 0.70 * wave ** random.uniform(0.5, 1.5))
    motif = pick(colors, 1 + _choice_per_cell(canvas, cell, len(colors) - 2))
    image = np.where((distance < reach)[..., None], motif, colors[0])
    return np.where((distance < 0.12)[..., None], colors[-1], image)


def scales(canvas: Canvas, colors: Array) -> Array:
    """Overlapping rounded tiles, as on a fish or a roof."""
    columns = int(canvas.random.integers(8, 15))
    rows = canvas.rows_for(columns) * 2
    y = canvas.v * rows
    image = np.broadcast_to(colors[0], (*canvas.u.shape, 3))
    table = canvas.random.integers(0, len(colors) - 1, (rows + 3, columns))
    # Tiles hang down: a point lies on the highest row whose round edge reaches below it.
    settled = np.zeros(canvas.u.shape, bool)
    for step in (1, 0, -1):
        row = np.floor(y).astype(int) + step
        x = canvas.u * columns + 0.5 * (row & 1)
        dx, dy = np.mod(x, 1) - 0.5, row + 0.55 - y
        inside = (np.hypot(dx, dy / 2) < 0.52) & ~settled
        edge = np.hypot(dx, dy / 2) > 0.45
        tile = pick(colors, table[row % (rows + 3), np.floor(x).astype(int) % columns])
        tile = np.where(
            edge[..., None], colors[-1], tile * (0.9 + 0.25 * np.clip(dy / 2 + 0.2, 0, 1))[..., None]
        )
        image = np.where(inside[..., None], tile, image)
        settled |= inside
    return image


def bricks(canvas: Canvas, colors: Array) -> Array:
    """Staggered tiles of uneven colour with joints; `colors[-1]` is the joint."""
    random = canvas.random
    columns = int(random.integers(6, 12))
    rows = max(2, round(columns / canvas.aspect * random.choice([1.0, 1.6, 2.2])))
    y = canvas.v * rows
    row = np.floor(y).astype(int)
    x = canvas.u * columns + 0.5 * (row & 1)
    cell = (row, np.floor(x).astype(int) % columns)
    joint = (np.mod(x, 1) < 0.07) | (np.mod(y, 1) < 0.07 * rows * canvas.aspect / columns)
    shade = 1 + 0.14 * (_per_cell(canvas, cell) * 2 - 1)
    tile = pick(colors, np.minimum(_choice_per_cell(canvas, cell, 4), 1)) * shade[..., None]
    return np.where(joint[..., None], colors[-1], tile)


def weave(canvas: Canvas, colors: Array) -> Array:
    """Basket work: strands over and under, rounded by shading."""
    columns = 2 * int(canvas.random.integers(5, 10))
    rows = 2 * max(1, canvas.rows_for(columns) // 2)
    x, y = canvas.u * columns, canvas.v * rows
    over = (np.floor(x).astype(int) + np.floor(y).astype(int)) & 1
    across, along = np.mod(x, 1) - 0.5, np.mod(y, 1) - 0.5
    section = np.where(over == 1, along, across)
    shade = np.sqrt(np.clip(1 - (1.9 * section) ** 2, 0.08, 1))
    return pick(colors, over) * (0.45 + 0.6 * shade)[..., None]


_SIGNS = (
    ("........", "#######.", "#.....#.", "#.###.#.", "#.#...#.", "#.#####.", "#.......", "........"),
    ("........", "...#....", "..###...", ".#####..", "#######.", "........"),
    ("#.......", "##......", "###.....", "####....", "#####...", "######..", "#######."),
    ("........", "..####..", ".#....#.", "#..##..#", "#.#..#.#", "#.#..#.#"),
    ("........", "##..##..", "##..##..", "..##..##", "..##..##", "........"),
    ("...##...", "..####..", ".##..##.", "##....##", ".##..##.", "..####..", "...##..."),
)


def frieze(canvas: Canvas, colors: Array) -> Array:
    """A row of repeated signs: triangles, steps, arches, meanders."""
    sign = _SIGNS[canvas.random.integers(len(_SIGNS))]
    rows, columns = len(sign), len(sign[0])
    table = np.array([[int(mark == "#") for mark in line] for line in sign])
    repeats = max(3, round(canvas.aspect * rows / columns))
    row = np.clip(((1 - canvas.v) * rows).astype(int), 0, rows - 1)
    column = (np.mod(canvas.u * repeats, 1) * columns).astype(int)
    return pick(colors, table[row, column])


def _band_table(random: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Sixteen steps of one period of stripes: two to five bands, neighbours different."""
    bands = int(random.integers(2, 6))
    cuts = np.sort(random.choice(np.arange(2, 15), bands - 1, replace=False))
    colors = np.cumsum(random.integers(1, count, bands)) % count
    if colors[0] == colors[-1]:
        colors[-1] = (colors[-1] + 1) % count
    return colors[np.searchsorted(cuts, np.arange(16), side="right")]


def _staggered_cells(canvas: Canvas, columns: int) -> tuple[Array, Array, Cell]:
    """Position in [-0.5, 0.5] inside the cell of a staggered grid, and the cell's (row, column)."""
    y = canvas.v * canvas.rows_for(columns)
    row = np.floor(y).astype(int)
    x = canvas.u * columns + 0.5 * (row & 1)
    column = np.floor(x).astype(int)
    return x - column - 0.5, y - row - 0.5, (row, column % columns)


def _per_cell(canvas: Canvas, cell: Cell) -> Array:
    """A uniform number in [0, 1] for every cell."""
    table = canvas.random.random((64, 64))
    values: Array = table[cell[0] % 64, cell[1] % 64]
    return values


def _choice_per_cell(canvas: Canvas, cell: Cell, count: int) -> NDArray[np.int64]:
    """An integer below `count` for every cell."""
    return (_per_cell(canvas, cell) * max(count, 1)).astype(int)
