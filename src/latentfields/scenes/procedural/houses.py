"""Toy houses and towers in a garden."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.canvas import Array, Pattern, blank, finished
from latentfields.scenes.procedural.geometric_patterns import bricks, dots, scales, stripes, zigzag
from latentfields.scenes.procedural.natural_patterns import plain, wood
from latentfields.scenes.procedural.painting import STONE, painted
from latentfields.scenes.procedural.palettes import WOODS, named_palette, random_palette
from latentfields.scenes.procedural.shapes import (
    ellipsoid,
    grid_surface,
    lathe,
    placed,
    plate,
    rounded_box,
    sweep,
)


def house(random: np.random.Generator) -> list[Mesh]:
    """A toy house or tower: walls with windows and a door, a tiled roof, a chimney, a garden."""
    colors = random_palette(random)
    roof_colors = named_palette(
        random, [(0.50, 0.14, 35), (0.42, 0.04, 260), (0.52, 0.09, 55), (0.50, 0.09, 160), (0.45, 0.12, 20)]
    )
    roof = painted(random, (scales, scales, bricks, stripes), roof_colors, aspect=1.6)
    lawn = painted(
        random,
        STONE,
        named_palette(random, [(0.58, 0.13, 130), (0.5, 0.1, 140), (0.62, 0.06, 80)]),
        aspect=1.0,
        mottle=0.12,
    )
    parts = [placed(rounded_box((2.1, 1.9, 0.12), radius=0.05, material=lawn), move=(0, 0, -0.06))]
    wide, deep, tall = random.uniform(1.0, 1.4), random.uniform(0.8, 1.1), random.uniform(0.6, 1.2)
    parts += _walls(random, colors, wide, deep, tall)
    parts += _gabled_roof(random, colors, roof, wide, deep, tall)
    if random.random() < 0.45:
        parts += _tower(
            random, colors, roof, np.array([wide / 2, random.choice([-1, 1]) * deep / 2, 0.0]), tall
        )
    leaf_colors = named_palette(random, [(0.5, 0.13, 135), (0.6, 0.13, 120), (0.62, 0.14, 60)])
    for _ in range(int(random.integers(1, 4))):
        at = (random.choice([-0.85, 0.85]), random.uniform(-0.75, 0.75), 0.0)
        parts += _tree(random, leaf_colors, np.array(at))
    return parts


def _walls(random: np.random.Generator, colors: Array, wide: float, deep: float, tall: float) -> list[Mesh]:
    grounds: tuple[Pattern, ...] = (plain, bricks, stripes, plain)
    ground = grounds[random.integers(len(grounds))]
    floors = 1 if tall < 0.85 else 2
    materials = [
        _facade(random, colors, ground, width / tall, floors, door=index == 0)
        for index, width in enumerate((wide, deep))
    ]
    parts = []
    half = np.array([wide, deep]) / 2
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    for index, (a, b) in enumerate(zip(corners, corners[1:] + corners[:1], strict=True)):
        ends = [np.array([*(np.array(c) * half), 0.0]) for c in (a, b)]
        wall = np.stack([np.stack(ends), np.stack(ends) + [0, 0, tall]])
        parts.append(grid_surface(wall, wrap=False, material=materials[index % 2]))
    return parts


def _facade(
    random: np.random.Generator, colors: Array, ground: Pattern, aspect: float, floors: int, *, door: bool
) -> Material:
    canvas = blank(random, aspect=aspect, size=192)
    image = ground(canvas, colors)
    columns = max(2, round(2.2 * aspect / (1 / floors) ** 0.5 / 1.5))
    frame, glass = colors[4], np.array([0.35, 0.48, 0.58])
    y = canvas.v * floors
    x = canvas.u * columns
    across, up = np.mod(x, 1) - 0.5, np.mod(y, 1) - 0.58
    window = (np.abs(across) < 0.27) & (np.abs(up) < 0.24)
    pane = (np.abs(across) < 0.22) & (np.abs(up) < 0.2) & (np.abs(across) > 0.03) & (np.abs(up) > 0.02)
    image = np.where(window[..., None], frame, image)
    image = np.where(pane[..., None], glass * (1 + 0.5 * up)[..., None], image)
    if door:
        at = (np.floor(columns / 2) + 0.5) / columns
        near = np.abs(canvas.u - at)
        ground_floor = canvas.v < 0.75 / floors
        image = np.where(((near < 0.36 / columns) & (canvas.v < 0.8 / floors))[..., None], frame, image)
        image = np.where(((near < 0.29 / columns) & ground_floor)[..., None], colors[2], image)
    return finished(canvas, np.where((canvas.v < 0.05)[..., None], 0.6 * colors[1], image))


def _gabled_roof(
    random: np.random.Generator, colors: Array, roof: Material, wide: float, deep: float, tall: float
) -> list[Mesh]:
    rise, over = random.uniform(0.4, 0.8), 0.1
    slope = rise / (deep / 2)
    parts = []
    for sign in (-1, 1):
        eaves = [
            [x, sign * (deep / 2 + over), tall - over * slope] for x in (-wide / 2 - over, wide / 2 + over)
        ]
        ridge = [[x, -0.02 * sign, tall + rise + 0.02 * slope] for x in (-wide / 2 - over, wide / 2 + over)]
        sheet = np.array([eaves, ridge])
        both = np.concatenate([sheet, sheet[::-1] + [0, 0, 0.05]])
        parts.append(grid_surface(sheet, wrap=False, material=roof))
        parts.append(grid_surface(both[2:][::-1], wrap=False, material=roof))
    gable = plate(
        [[-deep / 2, 0.0], [deep / 2, 0.0], [0.0, rise]],
        thickness=0.02,
        material=painted(random, (plain, stripes, bricks), colors, aspect=1.5, size=128),
    )
    parts += [
        placed(placed(gable, turn=(0, 0, 90)), move=(x, 0, tall)) for x in (-wide / 2 + 0.01, wide / 2 - 0.01)
    ]
    if random.random() < 0.75:
        stack = rounded_box(
            (0.17, 0.17, 0.6),
            radius=0.01,
            material=painted(random, (bricks,), colors[[1, 2, 3, 0, 4]], aspect=0.4, size=64),
        )
        parts.append(placed(stack, move=(random.uniform(-0.3, 0.3) * wide, 0.22 * deep, tall + 0.75 * rise)))
    return parts


def _tower(random: np.random.Generator, colors: Array, roof: Material, at: Array, tall: float) -> list[Mesh]:
    radius, height = random.uniform(0.22, 0.34), tall + random.uniform(0.3, 0.7)
    wall = painted(random, (bricks, stripes), colors, aspect=2 * np.pi * radius / height, size=128)
    tip = height + random.uniform(0.45, 0.8)
    cone = lathe(
        [[1.25 * radius, height - 0.02], [0.55 * radius, (height + tip) / 2 - 0.05], [0.0, tip]],
        material=roof,
        segments=40,
    )
    return [
        placed(lathe([[radius, 0.0], [radius, height]], material=wall, segments=40), move=at),
        placed(cone, move=at),
    ]


def _tree(random: np.random.Generator, colors: Array, at: Array) -> list[Mesh]:
    size = random.uniform(0.7, 1.1)
    trunk = sweep(
        np.linspace([0, 0, 0], [0, 0, 0.35 * size], 4),
        0.05,
        material=painted(random, (wood,), named_palette(random, WOODS), aspect=0.5, size=64),
        segments=10,
    )
    leaves = painted(random, (dots, scales, zigzag), colors, aspect=2.0, mottle=0.12, size=128)
    if random.random() < 0.5:
        layers = [
            lathe([[0.26 * s, z], [0.05 * s, z + 0.28], [0.0, z + 0.3]], material=leaves, segments=24)
            for s, z in ((1.0, 0.2), (0.8, 0.38), (0.55, 0.55))
        ]
        return [placed(part, scale=size, move=at) for part in (trunk, *layers)]
    crown = placed(ellipsoid((0.24, 0.24, 0.3), material=leaves, segments=22), move=(0, 0, 0.55))
    return [placed(part, scale=size, move=at) for part in (trunk, crown)]
