"""Vases."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.canvas import Array
from latentfields.scenes.procedural.curves import angles, smooth_curve
from latentfields.scenes.procedural.painting import POTTERY, dyed, painted
from latentfields.scenes.procedural.palettes import random_palette
from latentfields.scenes.procedural.shapes import lathe, placed, sweep


def vase(random: np.random.Generator) -> list[Mesh]:
    """A vase: fluted, twisted, squared or round, with or without handles."""
    colors = random_palette(random)
    height = random.uniform(1.4, 2.6)
    outer = _vase_profile(random, height)
    wall = 0.05
    inner = outer[::-1] - [wall, 0.0]
    inner = inner[(inner[:, 1] > wall) & (inner[:, 0] > 0.02)]
    scale = cross_section(random, len(outer), segments=64)
    length = np.linalg.norm(np.diff(outer, axis=0), axis=1).sum()
    aspect = 2 * np.pi * outer[:, 0].mean() / length
    parts = [
        lathe(outer, material=painted(random, POTTERY, colors, aspect=aspect), segments=64, scale=scale),
        lathe(
            np.concatenate([outer[-1:], inner, [[0.0, wall]]]),
            material=dyed(random, colors[4]),
            segments=64,
            scale=scale[-1:],
        ),
        lathe(
            [[0.0, 0.0], [outer[0, 0], 0.0]], material=dyed(random, colors[0]), segments=64, scale=scale[:1]
        ),
    ]
    if random.random() < 0.4:
        parts += _amphora_handles(random, outer, dyed(random, colors[1]))
    return parts


def _vase_profile(random: np.random.Generator, height: float) -> Array:
    """Outer radii and heights (K, 2) from foot to lip."""
    foot, belly = random.uniform(0.28, 0.5), random.uniform(0.5, 0.95)
    neck, lip = random.uniform(0.16, 0.42), random.uniform(0.25, 0.6)
    belly_at = random.uniform(0.25, 0.65)
    neck_at = random.uniform(belly_at + 0.22, 0.93)
    kind = random.choice(["belly", "belly", "cylinder", "trumpet", "gourd", "bowl"])
    if kind == "cylinder":
        control = [
            [foot + 0.1, 0],
            [foot + 0.14, 0.1],
            [foot + 0.12, 0.5],
            [foot + 0.16, 0.9],
            [foot + 0.2, 1.0],
        ]
    elif kind == "trumpet":
        control = [
            [foot + 0.15, 0],
            [foot, 0.06],
            [0.2, 0.25],
            [0.24, 0.5],
            [0.4, 0.8],
            [0.62, 0.97],
            [0.7, 1.0],
        ]
    elif kind == "gourd":
        control = [
            [foot, 0],
            [belly, 0.28],
            [neck, 0.55],
            [0.65 * belly, 0.75],
            [0.5 * neck + 0.1, 0.93],
            [lip * 0.8, 1],
        ]
    elif kind == "bowl":
        control = [
            [foot, 0],
            [foot * 0.8, 0.1],
            [belly, 0.45],
            [belly * 1.15, 0.75],
            [belly * 1.05, 0.95],
            [belly * 1.1, 1],
        ]
    else:
        control = [[foot, 0], [foot * 0.92, 0.05], [belly, belly_at], [neck, neck_at], [max(lip, neck), 1.0]]
    curve = smooth_curve(control, 56)
    curve[:, 0] = np.maximum(curve[:, 0], 0.1)
    return curve * [1.0, height]


def cross_section(random: np.random.Generator, rows: int, *, segments: int) -> Array:
    """Factors (rows, segments) on the radius: round, lobed, twisted or squared."""
    angle, along = angles(segments)[None], np.linspace(0, 1, rows)[:, None]
    kind = random.choice(["round", "round", "lobed", "twisted", "squared"])
    swell = np.sin(np.pi * np.clip(along * 1.05, 0, 1)) ** 0.5
    if kind == "round":
        return np.ones((rows, segments))
    if kind == "squared":
        square = (np.abs(np.cos(angle)) ** 5 + np.abs(np.sin(angle)) ** 5) ** (-1 / 5)
        squared: Array = np.ones_like(along) + (square - 1) * random.uniform(0.5, 1.0)
        return squared
    lobes, depth = random.integers(6, 14), random.uniform(0.03, 0.08)
    twist = random.uniform(2, 6) * along if kind == "twisted" else 0.0
    factors: Array = 1 + depth * swell * np.cos(lobes * angle + twist)
    return factors


def _amphora_handles(random: np.random.Generator, outer: Array, material: Material) -> list[Mesh]:
    low, high = random.uniform(0.45, 0.6), random.uniform(0.78, 0.93)
    start, end = outer[int(low * len(outer))], outer[int(high * len(outer))]
    reach = max(start[0], end[0]) + random.uniform(0.15, 0.4)
    path = smooth_curve(
        [
            [start[0] - 0.02, 0, start[1]],
            [reach, 0, 0.6 * start[1] + 0.4 * end[1]],
            [reach - 0.05, 0, end[1]],
            [end[0] - 0.03, 0, end[1]],
        ],
        24,
    )
    handle = sweep(
        path, random.uniform(0.05, 0.08), material=material, flat=random.uniform(0.8, 1.6), caps=False
    )
    return [placed(handle, turn=(0, 0, turn)) for turn in (0, 180)]
