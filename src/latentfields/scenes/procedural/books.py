"""Books in piles and rows."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.canvas import Array, Canvas, Pattern, blank, finished
from latentfields.scenes.procedural.natural_patterns import glaze, marble, plain
from latentfields.scenes.procedural.painting import FABRIC, painted
from latentfields.scenes.procedural.palettes import named_palette, random_palette
from latentfields.scenes.procedural.shapes import grid_surface, placed, rounded_box


def books(random: np.random.Generator) -> list[Mesh]:
    """A pile of one to five books, or a row standing between book-ends of their own weight."""
    count = int(random.choice([1, 2, 3, 3, 4, 5]))
    standing = count > 1 and random.random() < 0.4
    parts, offset = [], 0.0
    for _ in range(count):
        width, height, thick = random.uniform(0.6, 0.85), random.uniform(0.9, 1.2), random.uniform(0.12, 0.32)
        turn = random.normal(0, 3 if standing else 12)
        for part in _book(random, width, height, thick):
            if standing:  # spine to the front
                part = placed(part, turn=(90, 0, 0))
                part = placed(part, turn=(0, 0, 90))
                parts.append(
                    placed(part, turn=(0, 0.5 * turn, 0), move=(offset + thick / 2, -width / 2, height / 2))
                )
            else:
                parts.append(placed(part, turn=(0, 0, turn), move=(0, 0, offset + thick / 2)))
        offset += thick * (1.12 if standing else 1.02)
    return parts


def _book(random: np.random.Generator, width: float, height: float, thick: float) -> list[Mesh]:
    """A closed book lying flat, spine at -x."""
    colors = random_palette(random)
    board, lip = 0.03, 0.025
    front, back = (_cover(random, colors, aspect=width / height) for _ in range(2))
    spine = _spine(random, colors, aspect=thick / height)
    pages = painted(
        random,
        (_page_edges,),
        named_palette(random, [(0.94, 0.02, 90), (0.88, 0.04, 85)]),
        aspect=4.0,
        mottle=0.02,
        size=128,
    )
    leaf = rounded_box(
        (width - 2 * lip, height - 2 * lip, thick - 2 * board), radius=0.01, material=pages, cells=2
    )
    parts = [leaf]
    for z, material in ((thick / 2 - board / 2, front), (-thick / 2 + board / 2, back)):
        parts.append(
            placed(
                rounded_box((width, height, board), radius=0.012, material=material, cells=2),
                move=(0.015, 0, z),
            )
        )
    turn = np.linspace(-np.pi / 2, np.pi / 2, 12)
    bulge = random.uniform(0.02, 0.09)
    rows = np.stack([-width / 2 + 0.02 - bulge * np.cos(turn), thick / 2 * np.sin(turn)], axis=1)
    curve = np.stack(
        [np.stack([rows[:, 0], np.full(12, y), rows[:, 1]], axis=1) for y in (-height / 2, height / 2)]
    )
    return [*parts, grid_surface(curve, wrap=False, material=spine)]


def _page_edges(canvas: Canvas, colors: Array) -> Array:
    """Thin level lines: the edges of many sheets."""
    line = np.mod(canvas.v * 14 + 0.15 * canvas.noise(3, octaves=2), 1) < 0.3
    image: Array = np.where(line[..., None], colors[1], colors[0])
    return image


def _cover(random: np.random.Generator, colors: Array, *, aspect: float) -> Material:
    """A patterned or plain board with a frame, lines of a title and a picture or emblem."""
    canvas = blank(random, aspect=aspect, size=128)
    u, v = canvas.u, canvas.v
    ground: Pattern = (plain, plain, *FABRIC, glaze, marble)[random.integers(11)]
    image = ground(canvas, colors)
    x, y = (u - 0.5) * aspect, v - 0.5
    edge = np.minimum(aspect / 2 - np.abs(x), 0.5 - np.abs(y))
    if random.random() < 0.6:
        inset = random.uniform(0.03, 0.06)
        image = np.where(((edge > inset) & (edge < inset + 0.025))[..., None], colors[4], image)
    if random.random() < 0.7:
        at, radius = random.uniform(-0.15, 0.0), random.uniform(0.14, 0.24)
        angle, distance = np.arctan2(y - at, x), np.hypot(x, y - at)
        lobes = int(random.choice([0, 3, 4, 5, 6, 8, 12]))
        inside = distance < radius * (1 + 0.3 * np.cos(lobes * angle) * (lobes > 0)) / 1.15
        image = np.where(inside[..., None], colors[1], image)
        image = np.where((inside & (distance < 0.5 * radius))[..., None], colors[2], image)
    return finished(canvas, _lettered(random, canvas, image, colors[3], colors[4]), mottle=0.03)


def _lettered(random: np.random.Generator, canvas: Canvas, image: Array, label: Array, ink: Array) -> Array:
    """A label near the top with one or two lines of blocky signs."""
    top = random.uniform(0.72, 0.82)
    half = random.uniform(0.28, 0.4)
    on_label = (np.abs(canvas.v - top) < 0.1) & (np.abs(canvas.u - 0.5) < half)
    image = np.where(on_label[..., None], label, image)
    for center, size in ((top + 0.03, 0.045), (top - 0.05, 0.03)):
        column = np.floor((canvas.u - 0.5 + half) / 0.016).astype(int)
        row = np.floor((canvas.v - center + size / 2) / (size / 3)).astype(int)
        signs = random.random((3, 64)) < 0.62
        signs[:, ::4] = False  # gaps between the signs
        drawn = (row >= 0) & (row < 3) & (np.abs(canvas.u - 0.5) < half - 0.04)
        image = np.where((drawn & signs[np.clip(row, 0, 2), np.clip(column, 0, 63)])[..., None], ink, image)
    return image


def _spine(random: np.random.Generator, colors: Array, *, aspect: float) -> Material:
    """Bands across the back and a title along it; u runs across, v along the book."""
    canvas = blank(random, aspect=aspect, size=128)
    image = plain(canvas, colors)
    for _ in range(int(random.integers(2, 5))):
        at, half = random.uniform(0.05, 0.95), random.uniform(0.01, 0.04)
        image = np.where((np.abs(canvas.v - at) < half)[..., None], colors[random.integers(1, 5)], image)
    signs = np.floor(canvas.v * 40).astype(int)
    pattern = random.random(64) < 0.6
    on = (np.abs(canvas.u - 0.5) < 0.2) & (canvas.v > 0.3) & (canvas.v < 0.7) & pattern[signs % 64]
    return finished(canvas, np.where(on[..., None], colors[4], image), mottle=0.04)
