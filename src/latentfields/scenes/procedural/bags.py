"""Bags: totes, handbags and pouches here, the larger ones in `luggage`."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.canvas import Array
from latentfields.scenes.procedural.curves import angles, smooth_curve
from latentfields.scenes.procedural.luggage import backpack, duffel, paper_bag
from latentfields.scenes.procedural.painting import FABRIC, LEATHER, dyed, painted
from latentfields.scenes.procedural.palettes import METALS, named_palette, random_palette
from latentfields.scenes.procedural.shapes import ellipsoid, grid_surface, lathe, placed, rounded_box, sweep

_SEGMENTS = 64


def bag(random: np.random.Generator) -> list[Mesh]:
    """A bag of one of six kinds."""
    makers = (_tote, _handbag, _handbag, backpack, duffel, _pouch, paper_bag)
    return makers[random.integers(len(makers))](random)


def _squared(power: float) -> Array:
    """Radius factors (segments,) that turn a round section into a rounded square."""
    angle = angles(_SEGMENTS)
    factors: Array = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
    return factors


def _tote(random: np.random.Generator) -> list[Mesh]:
    colors = random_palette(random)
    height, depth = random.uniform(0.9, 1.4), random.uniform(0.28, 0.45)
    flare = random.uniform(0.9, 1.3)
    wall = smooth_curve(
        [[0.6, 0.0], [0.62, 0.06], [0.62 * (1 + flare) / 2, height / 2], [0.6 * flare, height]], 24
    )
    section = _squared(random.uniform(3, 6))
    sag = 0.05 * np.linspace(0, 1, 24)[:, None] ** 2 * np.cos(2 * angles(_SEGMENTS))[None]
    cloth = painted(random, FABRIC, colors, aspect=3.0)
    lining = dyed(random, colors[4])
    parts = [
        lathe(wall, material=cloth, segments=_SEGMENTS, scale=section, lift=sag),
        lathe([[0.0, 0.0], wall[0]], material=cloth, segments=_SEGMENTS, scale=section),
        lathe(
            np.concatenate([wall[::-1] - [0.02, 0], [[0.0, 0.03]]]),
            material=lining,
            segments=_SEGMENTS,
            scale=section,
            lift=np.concatenate([sag[::-1], 0 * sag[:1]]),
        ),
    ]
    parts = [placed(part, scale=(1, depth / 0.6, 1)) for part in parts]
    strap = dyed(random, colors[random.integers(1, 4)])
    reach, span = random.uniform(0.35, 0.7), random.uniform(0.25, 0.36)
    for side in (-1, 1):
        y = side * depth * flare * 0.98
        loop = [
            [-span, y, 0.62 * height],
            [-span, y, height],
            [-0.7 * span, 0.7 * y, height + 0.8 * reach],
            [0, 0.6 * y, height + reach],
            [0.7 * span, 0.7 * y, height + 0.8 * reach],
            [span, y, height],
            [span, y, 0.62 * height],
        ]
        parts.append(sweep(smooth_curve(loop, 40), 0.05, material=strap, flat=0.35))
    return parts


def _handbag(random: np.random.Generator) -> list[Mesh]:
    """A leather bag with a flap or a zip, metal fittings, and one or two handles."""
    colors = random_palette(random)
    height, depth, top = random.uniform(0.65, 1.0), random.uniform(0.2, 0.32), random.uniform(0.55, 1.0)
    body = smooth_curve(
        [
            [0.0, 0.0],
            [0.55, 0.0],
            [0.68, 0.05],
            [0.68 * (1 + top) / 2 + 0.03, 0.55 * height],
            [0.6 * top, 0.94 * height],
            [0.35 * top, height],
            [0.0, height],
        ],
        48,
    )
    section = _squared(random.uniform(3, 5))
    squash = np.interp(body[:, 1], [0, 0.7 * height, height], [1.0, 0.8, 0.5])
    angle = angles(_SEGMENTS)
    radius = body[:, :1] * section
    grid = np.stack(
        [
            radius * np.cos(angle),
            radius * np.sin(angle) * squash[:, None] * depth / 0.6,
            np.repeat(body[:, 1:], _SEGMENTS, 1),
        ],
        -1,
    )
    leather = painted(random, LEATHER, colors, aspect=3.0)
    trim = dyed(random, colors[random.integers(1, 5)])
    metal = dyed(random, named_palette(random, METALS)[0])
    parts = [grid_surface(grid, wrap=True, material=leather)]
    if random.random() < 0.65:
        parts += _flap(
            random,
            grid,
            leather
            if random.random() < 0.4
            else painted(random, LEATHER, colors[[1, 0, 2, 3, 4]], aspect=2.0),
            metal,
        )
    else:
        zip_line = np.stack([np.linspace(-0.5, 0.5, 20) * top, np.zeros(20), np.full(20, height + 0.005)], 1)
        parts.append(sweep(zip_line, 0.03, material=metal, segments=8))
    reach, span = random.uniform(0.3, 0.75), random.uniform(0.25, 0.45) * top
    for y in (-0.06, 0.06) if random.random() < 0.4 else (0.0,):
        loop = smooth_curve(
            [
                [-span, y, 0.93 * height],
                [-1.05 * span, y, height + 0.5 * reach],
                [-0.5 * span, y, height + 0.95 * reach],
                [0.5 * span, y, height + 0.95 * reach],
                [1.05 * span, y, height + 0.5 * reach],
                [span, y, 0.93 * height],
            ],
            40,
        )
        parts.append(sweep(loop, 0.035, material=trim, flat=random.choice([0.5, 1.0]), segments=10))
        parts += [
            placed(ellipsoid((0.06, 0.05, 0.06), material=metal, segments=12), move=(x, y, 0.95 * height))
            for x in (-span, span)
        ]
    return parts


def _flap(random: np.random.Generator, grid: Array, material: Material, metal: Material) -> list[Mesh]:
    """The front part of the body's own surface, lifted off it and rounded below, with a clasp."""
    front = slice(int(0.53 * _SEGMENTS), int(0.97 * _SEGMENTS) + 1)  # angles around -y
    rows = grid[::-1][: int(random.uniform(0.45, 0.62) * len(grid)), front]
    across = np.linspace(-1, 1, rows.shape[1])
    shorten = random.uniform(0.1, 0.5) * np.abs(across) ** 2
    position = np.linspace(0, 1, len(rows))[:, None] * (1 - shorten)[None] * (len(rows) - 1)
    low = np.minimum(position.astype(int), len(rows) - 2)
    weight = (position - low)[..., None]
    columns = np.arange(rows.shape[1])[None]
    patch = rows[low, columns] * (1 - weight) + rows[low + 1, columns] * weight
    patch = patch * [1.02, 1.08, 1.0] + [0.0, -0.012, 0.012]
    clasp_at = patch[-1, rows.shape[1] // 2]
    size = random.uniform(0.05, 0.09)
    clasp = rounded_box((1.6 * size, 0.05, size), radius=0.02, material=metal)
    return [
        grid_surface(patch, wrap=False, material=material),
        placed(clasp, move=clasp_at + [0, -0.01, 0.03]),
    ]


def _pouch(random: np.random.Generator) -> list[Mesh]:
    """A drawstring sack: gathered below a frill, tied with a cord."""
    colors = random_palette(random)
    neck = random.uniform(0.16, 0.26)
    profile = smooth_curve(
        [
            [0.0, 0.0],
            [0.45, 0.0],
            [0.68, 0.3],
            [0.55, 0.75],
            [neck, 1.05],
            [neck * 1.3, 1.18],
            [random.uniform(0.4, 0.55), random.uniform(1.35, 1.5)],
        ],
        60,
    )
    angle = angles(_SEGMENTS)[None]
    gather = np.exp(-(((profile[:, 1:] - 1.1) / 0.3) ** 2))
    folds = 1 + gather * (0.16 * np.cos(int(random.integers(9, 14)) * angle) + 0.06 * np.cos(5 * angle + 1))
    cloth = painted(random, FABRIC, colors, aspect=1.6)
    cord = dyed(random, colors[random.integers(1, 5)])
    turn = np.linspace(0, 4 * np.pi, 60)
    ring = np.stack(
        [(neck + 0.05) * np.cos(turn), (neck + 0.05) * np.sin(turn), 1.05 + 0.05 * turn / (4 * np.pi)], axis=1
    )
    parts = [
        lathe(profile, material=cloth, segments=_SEGMENTS, scale=folds),
        sweep(ring, 0.035, material=cord, segments=8),
    ]
    for sign in (-1, 1):
        end = smooth_curve(
            [
                [0, -neck - 0.03, 1.06],
                [0.12 * sign, -neck - 0.2, 0.95],
                [0.2 * sign, -0.62, random.uniform(0.45, 0.7)],
            ],
            20,
        )
        parts += [
            sweep(end, 0.03, material=cord, segments=8),
            placed(
                ellipsoid((0.07, 0.07, 0.09), material=dyed(random, colors[3]), segments=14), move=end[-1]
            ),
        ]
    return parts
