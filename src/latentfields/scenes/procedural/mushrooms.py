"""Mushrooms."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.canvas import Pattern
from latentfields.scenes.procedural.curves import smooth_curve
from latentfields.scenes.procedural.geometric_patterns import dots, stripes
from latentfields.scenes.procedural.natural_patterns import cells, glaze, patches, plain
from latentfields.scenes.procedural.painting import painted
from latentfields.scenes.procedural.palettes import named_palette, random_palette
from latentfields.scenes.procedural.shapes import lathe, placed


def mushroom(random: np.random.Generator) -> list[Mesh]:
    """One to four mushrooms on a patch of ground."""
    colors = random_palette(random)
    stem_colors = named_palette(random, [(0.90, 0.03, 85), (0.80, 0.05, 70), (0.94, 0.01, 100)])
    patterns: tuple[Pattern, ...] = (dots, dots, glaze, patches, stripes, cells, plain)
    cap = painted(random, (patterns[random.integers(len(patterns))],), colors, aspect=3.5)
    stalk = painted(random, (plain, stripes), stem_colors, aspect=1.0, mottle=0.12)
    gills = painted(random, (stripes,), stem_colors[[1, 3, 0, 2, 4]], aspect=12.0)
    ground = named_palette(random, [(0.45, 0.09, 130), (0.40, 0.06, 60), (0.55, 0.10, 120)])
    parts = [
        lathe(
            smooth_curve([[0.0, -0.15], [0.7, -0.12], [0.85, 0.0], [0.6, 0.1], [0.0, 0.13]], 24),
            material=painted(random, (patches,), ground, aspect=2.0, mottle=0.15),
            scale=1 + 0.06 * np.cos(5 * np.linspace(0, 2 * np.pi, 56, endpoint=False)),
        )
    ]
    count = int(random.integers(1, 5))
    for k in range(count):
        size = 1.0 if k == 0 else random.uniform(0.35, 0.65)
        turn, reach = random.uniform(0, 2 * np.pi), 0.0 if count == 1 else (0.12 if k == 0 else 0.55)
        tilt = random.normal(0, 6 if k == 0 else 12, 2)
        at = (reach * np.cos(turn), reach * np.sin(turn), 0.08)
        parts += [
            placed(part, scale=size, turn=(*tilt, 0), move=at)
            for part in _one_mushroom(random, cap, stalk, gills)
        ]
    return parts


def _one_mushroom(random: np.random.Generator, cap: Material, stalk: Material, gills: Material) -> list[Mesh]:
    height, width, dome = random.uniform(0.6, 1.3), random.uniform(0.45, 0.85), random.uniform(0.25, 0.75)
    thick = random.uniform(0.12, 0.22)
    stem = smooth_curve(
        [[thick * 1.5, -0.05], [thick, 0.25 * height], [thick * 0.8, 0.7 * height], [thick * 0.9, height]], 24
    )
    droop = random.uniform(0.0, 0.3) * dome
    top = smooth_curve(
        [
            [width, height - droop],
            [width * 1.02, height - droop + 0.06],
            [width * 0.75, height + 0.65 * dome],
            [width * 0.3, height + 0.95 * dome],
            [0.0, height + dome],
        ],
        36,
    )
    below = smooth_curve(
        [[width, height - droop], [width * 0.6, height + 0.05], [thick * 0.8, height - 0.02]], 12
    )
    skirt = smooth_curve(
        [[thick * 0.85, 0.72 * height], [thick * 1.5, 0.66 * height], [thick * 1.9, 0.58 * height]], 8
    )
    parts = [lathe(stem, material=stalk, segments=28), lathe(top, material=cap), lathe(below, material=gills)]
    return [*parts, lathe(skirt, material=stalk, segments=32)] if random.random() < 0.5 else parts
