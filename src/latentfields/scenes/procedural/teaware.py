"""Mugs and teapots."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.canvas import Array
from latentfields.scenes.procedural.curves import smooth_curve
from latentfields.scenes.procedural.painting import POTTERY, dyed, painted
from latentfields.scenes.procedural.palettes import WOODS, named_palette, random_palette
from latentfields.scenes.procedural.shapes import lathe, placed, sweep
from latentfields.scenes.procedural.vases import cross_section


def mug(random: np.random.Generator) -> list[Mesh]:
    """A mug or cup with a handle and something to drink in it."""
    colors = random_palette(random)
    height, taper, bulge = random.uniform(0.9, 1.5), random.uniform(0.75, 1.15), random.uniform(-0.06, 0.14)
    rim = random.uniform(0.5, 0.62)
    along = np.linspace(0, 1, 20)
    radius = rim * (taper + (1 - taper) * along) + bulge * np.sin(np.pi * along)
    wall = np.stack([radius, height * along], axis=1)
    corner = [[0, 0.0], [wall[0, 0] - 0.05, 0], [wall[0, 0] - 0.05, 0]]
    inside = np.stack([radius[::-1] - 0.05, height * along[::-1]], axis=1)
    drink = height * random.uniform(0.7, 0.88)
    aspect = 2 * np.pi * rim / height
    body = painted(random, POTTERY, colors, aspect=aspect)
    lining = dyed(random, colors[4])
    level = np.interp(drink, wall[:, 1], radius) - 0.05
    beverage = named_palette(random, [(0.30, 0.05, 50), (0.55, 0.08, 65), (0.62, 0.12, 95), (0.85, 0.04, 85)])
    parts = [
        lathe(np.concatenate([wall, wall[-1:] - [0.015, -0.02]]), material=body),
        lathe(np.concatenate([corner[:2], wall[:1]]), material=lining),
        lathe(
            np.concatenate([wall[-1:] - [0.015, -0.02], inside[inside[:, 1] > drink - 0.1]]), material=lining
        ),
        lathe([[0.0, drink], [level * 0.5, drink], [level, drink]], material=dyed(random, beverage[0])),
    ]
    trim = dyed(random, colors[random.integers(1, 5)])
    return [*parts, _ear(random, wall, trim)]


def _ear(random: np.random.Generator, wall: Array, material: Material) -> Mesh:
    """A handle on the +x side of a wall (K, 2) of radii and heights: round, pointed or square."""
    low, high = wall[int(0.2 * len(wall))], wall[int(0.82 * len(wall))]
    reach = max(low[0], high[0]) + random.uniform(0.28, 0.45)
    middle = (low[1] + high[1]) / 2
    shape = random.choice(["round", "square", "ear"])
    if shape == "square":
        control = [
            [low[0] - 0.03, low[1]],
            [reach, low[1]],
            [reach, middle],
            [reach, high[1]],
            [high[0] - 0.03, high[1]],
        ]
    elif shape == "ear":
        control = [
            [low[0] - 0.03, low[1]],
            [reach * 0.85, middle - 0.1],
            [reach, high[1] - 0.05],
            [high[0] - 0.03, high[1]],
        ]
    else:
        control = [
            [low[0] - 0.03, low[1]],
            [reach * 0.92, low[1] + 0.05],
            [reach, middle],
            [reach * 0.92, high[1] - 0.05],
            [high[0] - 0.03, high[1]],
        ]
    flat = smooth_curve(control, 28)
    path = np.stack([flat[:, 0], np.zeros(28), flat[:, 1]], axis=1)
    return sweep(
        path, random.uniform(0.055, 0.09), material=material, flat=random.uniform(0.8, 1.7), caps=False
    )


def teapot(random: np.random.Generator) -> list[Mesh]:
    """A teapot: round, tall or flat body, lid with a knob, spout, and a handle behind or above."""
    colors = random_palette(random)
    height, belly = random.uniform(0.8, 1.4), random.uniform(0.65, 0.95)
    foot, neck = random.uniform(0.35, 0.55), random.uniform(0.3, 0.42)
    body = smooth_curve(
        [
            [foot, 0],
            [foot + 0.03, 0.04],
            [belly, random.uniform(0.3, 0.55) * height],
            [neck + 0.12, 0.92 * height],
            [neck, height],
        ],
        40,
    )
    aspect = 2 * np.pi * belly / (1.3 * height)
    lid = smooth_curve([[neck + 0.03, height - 0.01], [neck * 0.8, height + 0.12], [0.08, height + 0.2]], 14)
    knob = smooth_curve(
        [
            [0.05, height + 0.17],
            [0.07, height + 0.22],
            [0.12, height + 0.3],
            [0.07, height + 0.37],
            [0.0, height + 0.38],
        ],
        14,
    )
    glaze_of_body = painted(random, POTTERY, colors, aspect=aspect)
    trim = dyed(random, colors[random.integers(5)])
    scale = cross_section(random, 40, segments=56) if random.random() < 0.4 else 1.0
    parts = [
        lathe(body, material=glaze_of_body, scale=scale),
        lathe([[0.0, 0.0], [foot, 0.0]], material=trim),
        lathe(lid, material=painted(random, POTTERY, colors, aspect=4.0)),
        lathe(knob, material=trim, segments=24),
        _spout(random, body, height, trim),
    ]
    if random.random() < 0.6:
        return [*parts, placed(_ear(random, body, trim), turn=(0, 0, 180))]
    cane = dyed(random, named_palette(random, WOODS)[0])
    arch = smooth_curve(
        [
            [-neck - 0.1, 0, 0.85 * height],
            [-neck - 0.12, 0, 1.35 * height],
            [0, 0, 1.7 * height],
            [neck + 0.12, 0, 1.35 * height],
            [neck + 0.1, 0, 0.85 * height],
        ],
        32,
    )
    return [*parts, sweep(arch, 0.045, material=cane, flat=1.3)]


def _spout(random: np.random.Generator, body: Array, height: float, material: Material) -> Mesh:
    start = body[int(random.uniform(0.3, 0.5) * len(body))]
    reach = start[0] + random.uniform(0.4, 0.6)
    top = height * random.uniform(0.9, 1.1)
    path = smooth_curve(
        [
            [start[0] - 0.12, 0, start[1]],
            [start[0] + 0.16, 0, start[1] + 0.08],
            [reach - 0.12, 0, 0.35 * start[1] + 0.65 * top],
            [reach, 0, top],
        ],
        24,
    )
    return sweep(path, np.linspace(random.uniform(0.15, 0.2), 0.06, 24), material=material, segments=18)
