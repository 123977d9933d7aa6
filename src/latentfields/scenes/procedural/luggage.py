"""Backpacks, duffels and paper bags."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Mesh
from latentfields.scenes.procedural.curves import smooth_curve
from latentfields.scenes.procedural.geometric_patterns import stripes
from latentfields.scenes.procedural.painting import FABRIC, dyed, painted
from latentfields.scenes.procedural.palettes import METALS, named_palette, random_palette
from latentfields.scenes.procedural.shapes import grid_surface, lathe, placed, rounded_box, sweep


def backpack(random: np.random.Generator) -> list[Mesh]:
    """A backpack with a front pocket, side pockets and straps."""
    colors = random_palette(random)
    height, width, depth = random.uniform(1.1, 1.5), random.uniform(0.8, 1.0), random.uniform(0.4, 0.55)
    cloth = painted(random, FABRIC, colors, aspect=0.8)
    other = painted(random, FABRIC, colors[[1, 2, 3, 0, 4]], aspect=1.3)
    dark = dyed(random, colors[random.integers(1, 5)])
    metal = dyed(random, named_palette(random, METALS)[0])
    pocket_height = height * random.uniform(0.35, 0.5)
    parts = [
        placed(
            rounded_box((width, depth, height), radius=random.uniform(0.16, 0.24), material=cloth),
            move=(0, 0, height / 2),
        ),
        placed(
            rounded_box((0.75 * width, 0.2, pocket_height), radius=0.09, material=other),
            move=(0, -depth / 2 - 0.06, 0.1 + pocket_height / 2),
        ),
    ]
    zip_arc = smooth_curve(
        [
            [-0.38 * width, -depth / 2 - 0.01, 0.6 * height],
            [-0.33 * width, -depth / 2 - 0.005, 0.85 * height],
            [0, -depth / 2, 0.9 * height],
            [0.33 * width, -depth / 2 - 0.005, 0.85 * height],
            [0.38 * width, -depth / 2 - 0.01, 0.6 * height],
        ],
        30,
    )
    parts.append(sweep(zip_arc, 0.02, material=metal, segments=8))
    loop = smooth_curve(
        [
            [-0.12, depth / 4, height - 0.02],
            [-0.1, depth / 4, height + 0.12],
            [0.1, depth / 4, height + 0.12],
            [0.12, depth / 4, height - 0.02],
        ],
        20,
    )
    parts.append(sweep(loop, 0.035, material=dark, segments=10))
    for sign in (-1, 1):
        strap = smooth_curve(
            [
                [0.15 * sign, depth / 2 - 0.02, 0.95 * height],
                [0.26 * sign, depth / 2 + 0.16, 0.8 * height],
                [0.32 * sign, depth / 2 + 0.18, 0.5 * height],
                [0.36 * sign, depth / 2 + 0.1, 0.2 * height],
                [0.38 * sign, depth / 2 - 0.04, 0.08 * height],
            ],
            30,
        )
        parts.append(sweep(strap, 0.075, material=dark, flat=0.35))
        if random.random() < 0.8:
            side = rounded_box((0.14, 0.7 * depth, 0.35 * height), radius=0.06, material=other)
            parts.append(placed(side, move=(sign * (width / 2 + 0.02), 0, 0.24 * height)))
    return parts


def duffel(random: np.random.Generator) -> list[Mesh]:
    """A cylindrical travelling bag with two handles."""
    colors = random_palette(random)
    length, radius = random.uniform(1.5, 2.0), random.uniform(0.38, 0.48)
    profile = [
        [0.0, -length / 2],
        [0.8 * radius, -length / 2],
        [radius, -length / 2 + 0.1],
        [radius * 1.04, 0],
        [radius, length / 2 - 0.1],
        [0.8 * radius, length / 2],
        [0.0, length / 2],
    ]
    tube = lathe(smooth_curve(profile, 48), material=painted(random, FABRIC, colors, aspect=1.4), segments=48)
    parts = [placed(tube, turn=(0, 90, 0), scale=(1, 1.1, 1))]
    dark = dyed(random, colors[random.integers(1, 5)])
    for x in (-0.22 * length, 0.22 * length):
        ring = lathe(
            [[radius * 1.05, -0.06], [radius * 1.07, 0.0], [radius * 1.05, 0.06]], material=dark, segments=48
        )
        parts.append(placed(ring, turn=(0, 90, 0), scale=(1, 1.1, 1), move=(x, 0, 0)))
    reach, span = random.uniform(0.25, 0.5), 0.22 * length
    for y in (-0.5 * radius, 0.5 * radius):
        loop = smooth_curve(
            [
                [-span, 1.9 * y, 0.4 * radius],
                [-0.9 * span, 1.2 * y, radius + 0.5 * reach],
                [0, 0.8 * y, radius + reach],
                [0.9 * span, 1.2 * y, radius + 0.5 * reach],
                [span, 1.9 * y, 0.4 * radius],
            ],
            36,
        )
        parts.append(sweep(loop, 0.05, material=dark, flat=0.5))
    metal = dyed(random, named_palette(random, METALS)[0])
    zip_line = np.stack(
        [np.linspace(-0.45, 0.45, 24) * length, np.zeros(24), np.full(24, radius * 1.03)], axis=1
    )
    return [*parts, sweep(zip_line, 0.03, material=metal, segments=8)]


def paper_bag(random: np.random.Generator) -> list[Mesh]:
    """A paper carrier bag with folded sides and rope handles."""
    colors = random_palette(random)
    width, depth, height = random.uniform(0.7, 1.0), random.uniform(0.3, 0.45), random.uniform(0.9, 1.3)
    paper = painted(random, (*FABRIC, stripes), colors, aspect=width / height)
    inside = dyed(random, colors[4])
    half_w, half_d = width / 2, depth / 2
    pinch = random.uniform(0.6, 1.0)
    corners = np.array([[-half_w, -half_d], [half_w, -half_d], [half_w, half_d], [-half_w, half_d]])
    parts = []
    for index in range(4):
        a, b = corners[index], corners[(index + 1) % 4]
        low, high = np.array([*a, 0.0]), np.array([*b, 0.0])
        top = [np.array([p[0], p[1] * pinch, height]) for p in (a, b)]
        fold = 0.08 * pinch * (index % 2) * np.array([-np.sign(a[0] + b[0]), 0, 0])
        middle = [(low + high) / 2 + fold * 0.3, (top[0] + top[1]) / 2 + fold]
        panel = np.array([[low, middle[0], high], [top[0], middle[1], top[1]]])
        parts.append(grid_surface(panel, wrap=False, material=paper))
        parts.append(grid_surface(panel * [0.985, 0.97, 1.0], wrap=False, material=inside))
    floor = np.array(
        [[[*corners[0], 0], [*corners[1], 0]], [[*corners[3], 0], [*corners[2], 0]]], dtype=float
    )
    parts.append(grid_surface(floor, wrap=False, material=inside))
    rope = dyed(random, colors[random.integers(1, 4)])
    for sign in (-1, 1):
        y = sign * half_d * pinch
        loop = smooth_curve(
            [
                [-0.2, y, height - 0.08],
                [-0.19, y, height + 0.18],
                [0, y * 0.9, height + 0.3],
                [0.19, y, height + 0.18],
                [0.2, y, height - 0.08],
            ],
            30,
        )
        parts.append(sweep(loop, 0.028, material=rope, segments=8))
    return parts
