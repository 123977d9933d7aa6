"""Toy animals: quadrupeds and birds with patterned coats."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.birds import bird
from latentfields.scenes.procedural.canvas import Array, Pattern
from latentfields.scenes.procedural.curves import smooth_curve
from latentfields.scenes.procedural.geometric_patterns import checks, dots, motifs, stripes, zigzag
from latentfields.scenes.procedural.natural_patterns import cells, patches, plain
from latentfields.scenes.procedural.painting import dyed, painted
from latentfields.scenes.procedural.palettes import named_palette, random_palette
from latentfields.scenes.procedural.shapes import ellipsoid, lathe, placed, sweep

_FUR = (
    (0.55, 0.09, 60),
    (0.75, 0.08, 75),
    (0.42, 0.05, 45),
    (0.88, 0.02, 90),
    (0.35, 0.01, 270),
    (0.66, 0.12, 55),
)


_COATS: tuple[Pattern, ...] = (patches, patches, stripes, cells, dots, checks, motifs, plain, zigzag)


_BLACK = np.array([0.05, 0.04, 0.05])


def animal(random: np.random.Generator) -> list[Mesh]:
    """A four-legged animal (short or long of neck, leg, snout, ear and tail) or a bird."""
    return bird(random) if random.random() < 0.25 else _quadruped(random)


def _quadruped(random: np.random.Generator) -> list[Mesh]:
    colors = named_palette(random, _FUR) if random.random() < 0.5 else random_palette(random)
    colors[4] = named_palette(random, [(0.93, 0.02, 85), (0.25, 0.02, 50)])[0]
    coat = painted(random, (_COATS[random.integers(len(_COATS))],), colors, aspect=1.0)
    limb = painted(random, (plain, stripes), colors, aspect=0.4)
    accent, hoof = dyed(random, colors[1]), dyed(random, colors[random.choice([1, 3, 4])])
    leg, girth = random.uniform(0.35, 0.95), random.uniform(0.24, 0.42)
    length, neck = random.uniform(0.85, 1.3), random.choice([0.15, 0.3, 0.5, 0.95], p=[0.35, 0.35, 0.2, 0.1])
    back = leg + girth
    trunk = smooth_curve(
        [
            [length / 2, 0, back],
            [0, 0, back + random.uniform(-0.06, 0.05)],
            [-length / 2, 0, back + random.uniform(-0.04, 0.1)],
        ],
        24,
    )
    width = girth * smooth_curve([[0.85], [random.uniform(0.85, 1.1)], [0.95]], 24)[:, 0]
    parts = [sweep(trunk, width, material=coat, segments=26, flat=random.uniform(0.75, 1.0))]
    shoulder = np.array([-length / 2, 0, back + 0.3 * girth])
    head_at = shoulder + [-0.5 * girth - 0.45 * neck - 0.1, 0, neck + 0.25 * girth]
    bent = (shoulder + head_at) / 2 + [0.05, 0, 0.02]
    throat = smooth_curve([shoulder + [0.12, 0, -0.1], bent, head_at], 16)
    parts.append(
        sweep(throat, np.linspace(0.62 * girth, 0.40 * girth + 0.02, 16), material=coat, segments=20)
    )
    parts += _four_legs(random, length, girth, leg, back, limb, hoof)
    parts += _head(random, head_at, random.uniform(0.75, 1.05) * girth, coat, accent, hoof)
    return parts + _tail(random, np.array([length / 2 + 0.7 * girth, 0, back + 0.25 * girth]), accent, limb)


def _four_legs(
    random: np.random.Generator,
    length: float,
    girth: float,
    leg: float,
    back: float,
    limb: Material,
    hoof: Material,
) -> list[Mesh]:
    parts = []
    thick = random.uniform(0.28, 0.42) * girth
    stride = random.uniform(-0.12, 0.12, 4)
    for index, (x, y) in enumerate([(-0.46, -1), (-0.46, 1), (0.48, -1), (0.48, 1)]):
        hip = np.array([x * length, y * 0.52 * girth, back - 0.2 * girth])
        foot = np.array([x * length + stride[index], y * 0.58 * girth, 0.04])
        knee = (hip + foot) / 2 + [0.05 * np.sign(x), 0, 0]
        path = smooth_curve([hip, knee, foot], 14)
        parts.append(sweep(path, np.linspace(1.5, 0.85, 14) * thick, material=limb, segments=14))
        parts.append(
            placed(
                ellipsoid((1.25 * thick, 1.05 * thick, 0.7 * thick), material=hoof, segments=14),
                move=foot + [-0.03, 0, 0],
            )
        )
    return parts


def _head(
    random: np.random.Generator, at: Array, size: float, coat: Material, accent: Material, dark: Material
) -> list[Mesh]:
    snout, drop = random.uniform(0.25, 0.9) * size, random.uniform(0.15, 0.4) * size
    tip = at + np.array([-0.75 * size - snout, 0, -drop])
    muzzle = smooth_curve([at + [-0.2 * size, 0, 0], (at + tip) / 2 + [-0.1 * size, 0, -0.02], tip], 12)
    parts = [
        placed(ellipsoid((0.85 * size, 0.72 * size, 0.78 * size), material=coat, segments=26), move=at),
        sweep(muzzle, np.linspace(0.52, random.uniform(0.26, 0.4), 12) * size, material=accent, segments=18),
        placed(
            ellipsoid((0.12 * size, 0.16 * size, 0.11 * size), material=dyed(random, _BLACK), segments=12),
            move=tip + [-0.28 * size, 0, 0.12 * size],
        ),
    ]
    shape = str(random.choice(["pointed", "round", "long"]))
    tall = {"pointed": 0.75, "round": 0.5, "long": 1.5}[shape] * size
    wide = {"pointed": 0.32, "round": 0.38, "long": 0.24}[shape] * size
    ear = smooth_curve(
        [[wide, 0], [wide * (0.75 if shape == "pointed" else 1.05), 0.5 * tall], [0.0, tall]], 12
    )
    horned = random.random() < 0.25
    for sign in (-1, 1):
        flap = placed(lathe(ear, material=accent, segments=16), scale=(1, 0.45, 1), turn=(0, 0, 90))
        lean = random.uniform(8, 45) if shape != "long" else random.uniform(5, 100)
        parts.append(
            placed(flap, turn=(-lean * sign, 0, 0), move=at + [0.1 * size, 0.42 * sign * size, 0.5 * size])
        )
        eye = at + np.array([-0.55 * size, 0.48 * sign * size, 0.3 * size])
        parts.append(
            placed(
                ellipsoid(
                    [0.17 * size] * 3, material=dyed(random, np.array([0.96, 0.95, 0.92])), segments=14
                ),
                move=eye,
            )
        )
        parts.append(
            placed(
                ellipsoid([0.11 * size] * 3, material=dyed(random, _BLACK), segments=12),
                move=eye + [-0.08 * size, 0.05 * sign * size, 0.02 * size],
            )
        )
        if horned:
            horn = smooth_curve(
                [
                    [0.0, 0.0, 0.0],
                    [0.0, 0.25 * sign * size, 0.5 * size],
                    [-0.15 * size, 0.2 * sign * size, 1.0 * size],
                ],
                14,
            )
            parts.append(
                placed(
                    sweep(horn, np.linspace(0.14, 0.03, 14) * size, material=dark, segments=10),
                    move=at + [-0.1 * size, 0.2 * sign * size, 0.55 * size],
                )
            )
    return parts


def _tail(random: np.random.Generator, at: Array, accent: Material, limb: Material) -> list[Mesh]:
    long, up = random.uniform(0.25, 0.8), random.uniform(-0.7, 0.9)
    path = smooth_curve(
        [
            at + [-0.25, 0, -0.05],
            at + [0.25 * long, 0, 0.1 * up],
            at + [0.7 * long, random.uniform(-0.2, 0.2), 0.7 * up * long],
        ],
        18,
    )
    thick = random.uniform(0.04, 0.09)
    parts = [sweep(path, np.linspace(1.3, 0.7, 18) * thick, material=limb, segments=12)]
    if random.random() < 0.3:
        parts.append(
            placed(
                ellipsoid((2.0 * thick, 2.0 * thick, 2.6 * thick), material=accent, segments=16),
                move=path[-1],
            )
        )
    return parts
