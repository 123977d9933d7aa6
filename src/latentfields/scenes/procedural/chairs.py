"""Chairs and stools."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.curves import smooth_curve
from latentfields.scenes.procedural.painting import FABRIC, painted, wood_paint_or_metal
from latentfields.scenes.procedural.palettes import random_palette
from latentfields.scenes.procedural.shapes import lathe, placed, rounded_box, sweep


def chair(random: np.random.Generator) -> list[Mesh]:
    """A chair or stool: four legs or a pedestal, some kind of back, sometimes arms, a patterned seat."""
    colors = random_palette(random)
    frame = wood_paint_or_metal(random, colors)
    cloth = painted(random, FABRIC, colors, aspect=1.0)
    height, width, depth = random.uniform(0.75, 1.0), random.uniform(0.8, 1.05), random.uniform(0.75, 0.95)
    thickness = random.uniform(0.09, 0.25)
    round_seat = random.random() < 0.3
    parts = [_seat(random, width, depth, height, thickness, cloth, round_seat=round_seat)]
    parts += _legs(random, width, depth, height, frame, round_seat=round_seat)
    back_height = random.uniform(0.75, 1.25)
    back = random.choice(["slats", "panel", "bars", "hoop", "none"], p=[0.25, 0.3, 0.2, 0.2, 0.05])
    if back != "none":
        maker = {"slats": _slats, "panel": _panel, "bars": _bars, "hoop": _hoop}[str(back)]
        upright = maker(random, width * (0.85 if round_seat else 1.0), back_height, frame, cloth)
        lean = random.uniform(-14, -3)
        parts += [placed(placed(part, turn=(lean, 0, 0)), move=(0, depth * 0.42, height)) for part in upright]
    if random.random() < 0.35 and not round_seat and back != "none":
        parts += _arms(random, width, depth, height, frame)
    return parts


def _seat(
    random: np.random.Generator,
    width: float,
    depth: float,
    height: float,
    thickness: float,
    cloth: Material,
    *,
    round_seat: bool,
) -> Mesh:
    if not round_seat:
        return placed(
            rounded_box((width, depth, thickness), radius=random.uniform(0.03, 0.12), material=cloth),
            move=(0, 0, height),
        )
    edge = np.linspace(-np.pi / 2, np.pi / 2, 9)
    rim = np.stack(
        [width / 2 - thickness / 2 + thickness / 2 * np.cos(edge), thickness / 2 * np.sin(edge)], axis=1
    )
    profile = np.concatenate([[[0.0, -thickness / 2]], rim, [[0.0, thickness / 2 + 0.02]]])
    return placed(lathe(profile, material=cloth, segments=44), move=(0, 0, height))


def _legs(
    random: np.random.Generator,
    width: float,
    depth: float,
    height: float,
    frame: Material,
    *,
    round_seat: bool,
) -> list[Mesh]:
    radius = random.uniform(0.035, 0.07)
    if random.random() < 0.2:  # a pedestal with feet
        turned = smooth_curve(
            [
                [radius, 0.1],
                [1.6 * radius, 0.3 * height],
                [radius, 0.55 * height],
                [1.5 * radius, 0.8 * height],
                [2.5 * radius, height],
            ],
            30,
        )
        feet = int(random.integers(3, 6))
        foot = smooth_curve([[0, 0, 0.22], [0.25, 0, 0.14], [0.48, 0, 0.04]], 14)
        return [
            lathe(turned, material=frame, segments=20),
            *(
                placed(sweep(foot, 0.05, material=frame, segments=10), turn=(0, 0, 360 * k / feet))
                for k in range(feet)
            ),
        ]
    splay = random.uniform(0.0, 0.18)
    inset = 0.7 if round_seat else 0.88
    straight = random.random() < 0.5
    parts = []
    for sx in (-1, 1):
        for sy in (-1, 1):
            top = np.array([sx * inset * width / 2, sy * inset * depth / 2, height])
            bottom = top * [1 + splay, 1 + splay, 0]
            path = smooth_curve([top, (top + bottom) / 2, bottom], 12)
            taper = (
                np.linspace(1.1, 0.65, 12) if straight else 0.8 + 0.35 * np.sin(np.linspace(0, 9, 12)) ** 2
            )
            parts.append(sweep(path, radius * taper, material=frame, segments=10))
    if random.random() < 0.6:
        level = random.uniform(0.25, 0.5) * height
        x, y = (inset * side / 2 * (1 + splay * (1 - level / height)) for side in (width, depth))
        for sign in (-1, 1):
            parts.append(
                sweep(
                    np.linspace([sign * x, -y, level], [sign * x, y, level], 4),
                    0.6 * radius,
                    material=frame,
                    segments=8,
                )
            )
        parts.append(
            sweep(np.linspace([-x, 0, level], [x, 0, level], 4), 0.6 * radius, material=frame, segments=8)
        )
    return parts


def _posts(width: float, height: float, frame: Material) -> list[Mesh]:
    return [
        sweep(np.linspace([x, 0, -0.05], [x, 0, height], 5), 0.05, material=frame, segments=10)
        for x in (-0.44 * width, 0.44 * width)
    ]


def _slats(
    random: np.random.Generator, width: float, height: float, frame: Material, cloth: Material
) -> list[Mesh]:
    count = int(random.integers(2, 5))
    slats = [
        placed(
            rounded_box((0.86 * width, 0.045, 0.55 * height / count), radius=0.02, material=frame),
            move=(0, 0, height * (0.3 + 0.65 * (k + 0.5) / count)),
        )
        for k in range(count)
    ]
    return [*_posts(width, height, frame), *slats]


def _panel(
    random: np.random.Generator, width: float, height: float, frame: Material, cloth: Material
) -> list[Mesh]:
    low = random.uniform(0.0, 0.3) * height
    panel = rounded_box((0.92 * width, random.uniform(0.08, 0.2), height - low), radius=0.07, material=cloth)
    return [*_posts(width, 0.6 * height, frame), placed(panel, move=(0, 0, (height + low) / 2))]


def _bars(
    random: np.random.Generator, width: float, height: float, frame: Material, cloth: Material
) -> list[Mesh]:
    count = int(random.integers(4, 8))
    top = placed(rounded_box((width, 0.07, 0.18), radius=0.03, material=frame), move=(0, 0, height))
    bars = [
        sweep(np.linspace([x, 0, -0.03], [x, 0, height], 4), 0.026, material=frame, segments=8)
        for x in np.linspace(-0.34, 0.34, count) * width
    ]
    return [*_posts(width, height, frame), *bars, top]


def _hoop(
    random: np.random.Generator, width: float, height: float, frame: Material, cloth: Material
) -> list[Mesh]:
    bow = smooth_curve(
        [
            [-0.42 * width, 0, 0],
            [-0.46 * width, 0, 0.6 * height],
            [0, 0, height],
            [0.46 * width, 0, 0.6 * height],
            [0.42 * width, 0, 0],
        ],
        40,
    )
    spokes = [
        sweep(
            np.linspace([x, 0, -0.03], [1.15 * x, 0, height * (0.97 - 1.6 * (x / width) ** 2)], 5),
            0.024,
            material=frame,
            segments=8,
        )
        for x in np.linspace(-0.3, 0.3, int(random.integers(3, 7))) * width
    ]
    return [sweep(bow, 0.045, material=frame, segments=10), *spokes]


def _arms(
    random: np.random.Generator, width: float, depth: float, height: float, frame: Material
) -> list[Mesh]:
    rise = random.uniform(0.3, 0.45)
    parts = []
    for sign in (-1, 1):
        x = sign * width / 2
        arm = smooth_curve(
            [
                [x, -0.4 * depth, height],
                [x * 1.05, -0.42 * depth, height + rise],
                [x * 1.05, 0, height + rise + 0.03],
                [x, 0.45 * depth, height + rise + 0.05],
            ],
            24,
        )
        parts.append(sweep(arm, 0.05, material=frame, segments=10, flat=1.3))
    return parts
