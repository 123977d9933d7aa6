"""Cakes in tiers, and cupcakes."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.curves import angles, smooth_curve
from latentfields.scenes.procedural.geometric_patterns import checks, dots, motifs, scales, stripes, zigzag
from latentfields.scenes.procedural.natural_patterns import plain
from latentfields.scenes.procedural.painting import dyed, painted
from latentfields.scenes.procedural.palettes import named_palette, random_palette
from latentfields.scenes.procedural.shapes import ellipsoid, lathe, placed, sweep

_ICINGS = (
    (0.92, 0.03, 90),
    (0.85, 0.09, 5),
    (0.45, 0.07, 50),
    (0.87, 0.09, 165),
    (0.86, 0.07, 250),
    (0.9, 0.1, 100),
)


def cake(random: np.random.Generator) -> list[Mesh]:
    """A tiered cake or a cupcake, iced, sprinkled and decorated, on a plate."""
    return _cupcake(random) if random.random() < 0.3 else _tiered_cake(random)


def _tiered_cake(random: np.random.Generator) -> list[Mesh]:
    tiers = int(random.integers(1, 4))
    radius, level = 0.85, 0.0
    colors = random_palette(random)
    parts = [
        lathe(
            [[0.0, -0.1], [0.6, -0.1], [1.05, -0.03], [1.08, 0.0], [0.0, 0.0]],
            material=painted(random, (stripes, plain, dots), colors, aspect=6.0),
        )
    ]
    for _ in range(tiers):
        icing = named_palette(random, _ICINGS)
        icing[1:4] = random_palette(random)[1:4]
        tall = random.uniform(0.35, 0.6)
        side = painted(
            random,
            (stripes, dots, motifs, zigzag, plain, checks, scales),
            icing,
            aspect=2 * np.pi * radius / tall,
        )
        top = dyed(random, icing[0])
        wall = smooth_curve(
            [[radius, level], [radius, level + 0.5 * tall], [radius, level + tall - 0.05]], 10
        )
        cap = [
            *wall[-1:],
            [radius - 0.02, level + tall - 0.01],
            [radius - 0.06, level + tall],
            [0.0, level + tall],
        ]
        parts += [lathe(wall, material=side), lathe(cap, material=top)]
        if random.random() < 0.55:
            parts.append(
                _drips(random, radius, level + tall, tall, dyed(random, colors[random.integers(1, 4)]))
            )
        else:
            parts += _dollops(
                random, radius - 0.09, level + tall, dyed(random, colors[random.integers(1, 5)])
            )
        level, radius = level + tall, radius * random.uniform(0.55, 0.75)
    return parts + _topping(random, radius / 0.65, level)


def _drips(random: np.random.Generator, radius: float, top: float, tall: float, material: Material) -> Mesh:
    """Icing that has run down the side to different depths."""
    angle = angles(96)
    runs = 0.5 + 0.5 * np.cos(int(random.integers(7, 13)) * angle + random.uniform(0, 6))
    depth = tall * (
        0.12 + random.uniform(0.3, 0.5) * runs**3 * (0.7 + 0.3 * np.cos(2 * angle + random.uniform(0, 6)))
    )
    profile = np.array(
        [
            [radius * 0.55, top + 0.012],
            [radius - 0.05, top + 0.015],
            [radius + 0.012, top - 0.03],
            [radius + 0.02, top - 0.04],
            [radius + 0.004, top - 0.05],
        ]
    )
    share = np.array([0, 0, 0.0, 0.93, 1.0])[:, None]
    return lathe(profile, material=material, segments=96, lift=-share * depth[None])


def _dollops(random: np.random.Generator, radius: float, level: float, material: Material) -> list[Mesh]:
    """Swirls of cream around the rim."""
    count, size = int(random.integers(8, 15)), random.uniform(0.08, 0.12)
    profile = smooth_curve(
        [[size, 0], [1.05 * size, 0.3 * size], [0.55 * size, 1.1 * size], [0.0, 1.7 * size]], 12
    )
    twist = 1 + 0.16 * np.cos(5 * angles(24)[None] + 5 * np.linspace(0, 1, 12)[:, None])
    swirl = lathe(profile, material=material, segments=24, scale=twist)
    turns = 2 * np.pi * np.arange(count) / count
    return [placed(swirl, move=(radius * np.cos(t), radius * np.sin(t), level)) for t in turns]


def _topping(random: np.random.Generator, radius: float, level: float) -> list[Mesh]:
    colors = random_palette(random)
    if random.random() < 0.5:  # candles
        wax = painted(random, (stripes,), colors, aspect=0.4)
        flame = Material(
            texture=dyed(random, np.array([1.0, 0.75, 0.25])).texture, emission=(0.9, 0.55, 0.15)
        )
        parts = []
        for turn in 2 * np.pi * np.arange(count := int(random.integers(3, 8))) / count:
            at = np.array([0.55 * radius * np.cos(turn), 0.55 * radius * np.sin(turn), level])
            parts.append(
                placed(lathe([[0.035, 0.0], [0.035, 0.32], [0.0, 0.33]], material=wax, segments=14), move=at)
            )
            parts.append(
                placed(ellipsoid((0.032, 0.032, 0.07), material=flame, segments=12), move=at + [0, 0, 0.4])
            )
        return parts
    fruit = painted(
        random,
        (dots, plain),
        named_palette(random, [(0.5, 0.19, 25), (0.45, 0.15, 15), (0.5, 0.1, 280), (0.7, 0.16, 60)]),
        aspect=2.0,
    )
    leaf = dyed(random, named_palette(random, [(0.5, 0.12, 140)])[0])
    parts = []
    for turn in 2 * np.pi * np.arange(count := int(random.integers(1, 6))) / count:
        reach = 0.0 if count == 1 else 0.45 * radius
        at = np.array([reach * np.cos(turn), reach * np.sin(turn), level + 0.1])
        parts.append(placed(ellipsoid((0.12, 0.12, 0.12), material=fruit, segments=18), move=at))
        stalk = smooth_curve([[0, 0, 0.1], [0.02, 0, 0.2], [0.09, 0, 0.28]], 8)
        parts.append(
            placed(
                sweep(stalk, 0.015, material=leaf, segments=6), move=at, turn=(0, 0, random.uniform(0, 360))
            )
        )
    return parts


def _cupcake(random: np.random.Generator) -> list[Mesh]:
    colors = random_palette(random)
    icing = named_palette(random, _ICINGS)
    icing[1:4] = colors[1:4]
    pleats = 1 + 0.035 * np.cos(20 * angles(100))
    cup = lathe(
        [[0.0, 0.0], [0.42, 0.0], [0.42, 0.0], [0.62, 0.55]],
        material=painted(random, (stripes, dots, checks, zigzag), colors, aspect=4.5),
        segments=100,
        scale=pleats,
    )
    turns = int(random.integers(2, 5))
    along = np.linspace(0, 1, 150)
    spiral = 2 * np.pi * turns * along
    reach = 0.44 * (1 - along) ** 0.8
    path = np.stack([reach * np.cos(spiral), reach * np.sin(spiral), 0.6 + 0.62 * along], axis=1)
    swirl = sweep(
        path,
        0.22 * (1 - along) + 0.05,
        material=painted(random, (dots, stripes, plain), icing, aspect=0.15),
        segments=14,
    )
    core = lathe([[0.6, 0.55], [0.45, 0.75], [0.0, 1.05]], material=dyed(random, icing[0]))
    return [cup, core, swirl, *(placed(part, move=(0, 0, 1.22)) for part in _topping(random, 0.25, 0.0)[:2])]
