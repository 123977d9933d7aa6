"""Table lamps, tripod lamps, desk lamps and lanterns."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.canvas import Array
from latentfields.scenes.procedural.curves import level_circle, smooth_curve, upright_circle
from latentfields.scenes.procedural.geometric_patterns import stripes
from latentfields.scenes.procedural.painting import FABRIC, POTTERY, dyed, painted, wood_paint_or_metal
from latentfields.scenes.procedural.palettes import METALS, named_palette, random_palette
from latentfields.scenes.procedural.shapes import ellipsoid, grid_surface, lathe, placed, sweep


def lamp(random: np.random.Generator) -> list[Mesh]:
    """A table lamp, a tripod lamp, a jointed desk lamp, or a lantern; its shade glows a little."""
    return (_table_lamp, _table_lamp, _tripod_lamp, _desk_lamp, _lantern)[random.integers(5)](random)


def _lit(material: Material, strength: float) -> Material:
    """The same surface, giving off some of its own colour."""
    return Material(
        texture=material.texture,
        emission=(strength, 0.92 * strength, 0.75 * strength),
        emission_texture=material.texture,
    )


def _shade(random: np.random.Generator, colors: Array, *, level: float, size: float) -> list[Mesh]:
    """A lamp shade whose lower rim is at `level`: cone, drum, bell or globe, pleated or not."""
    material = _lit(painted(random, FABRIC, colors, aspect=3.0), random.uniform(0.1, 0.3))
    if random.random() < 0.2:
        return [
            placed(
                ellipsoid((size, size, size), material=material, segments=36), move=(0, 0, level + 0.8 * size)
            )
        ]
    tall, top = size * random.uniform(0.9, 1.5), random.uniform(0.35, 0.95)
    belly = random.uniform(-0.15, 0.1)
    profile = smooth_curve(
        [[size, level], [size * ((1 + top) / 2 + belly), level + tall / 2], [size * top, level + tall]], 20
    )
    pleats = 1 + random.choice([0.0, 0.025]) * np.cos(24 * np.linspace(0, 2 * np.pi, 96, endpoint=False))
    trim = dyed(random, colors[random.integers(1, 5)])
    rings = [
        sweep(level_circle(profile[row, 0], profile[row, 1]), 0.022, material=trim, segments=8, caps=False)
        for row in (0, -1)
    ]
    bulb = placed(
        ellipsoid(
            (0.11, 0.11, 0.15), material=_lit(dyed(random, np.array([1.0, 0.95, 0.8])), 0.8), segments=16
        ),
        move=(0, 0, level + 0.3 * tall),
    )
    return [lathe(profile, material=material, segments=96, scale=pleats), *rings, bulb]


def _table_lamp(random: np.random.Generator) -> list[Mesh]:
    colors = random_palette(random)
    height = random.uniform(0.8, 1.3)
    bulges = random.uniform(0.1, 0.42, 3)
    body = smooth_curve(
        [
            [0.32, 0.0],
            [0.3, 0.06],
            [bulges[0], 0.25 * height],
            [bulges[1], 0.5 * height],
            [0.5 * bulges[2] + 0.03, 0.8 * height],
            [0.05, height],
        ],
        48,
    )
    metal = dyed(random, named_palette(random, METALS)[0])
    stem = sweep(
        np.linspace([0, 0, height - 0.05], [0, 0, height + 0.45], 4), 0.035, material=metal, segments=12
    )
    foot = lathe([[0.0, -0.05], [0.4, -0.05], [0.4, -0.05], [0.4, 0.01], [0.3, 0.03]], material=metal)
    base = lathe(body, material=painted(random, POTTERY, colors, aspect=1.2))
    return [
        base,
        foot,
        stem,
        *_shade(random, colors[[3, 1, 4, 0, 2]], level=height + 0.05, size=random.uniform(0.45, 0.7)),
    ]


def _tripod_lamp(random: np.random.Generator) -> list[Mesh]:
    colors = random_palette(random)
    frame = wood_paint_or_metal(random, colors)
    height, spread = random.uniform(1.1, 1.6), random.uniform(0.4, 0.6)
    legs = []
    for k in range(3):
        leg = sweep(
            np.linspace([0.04, 0, height], [spread, 0, 0], 6),
            np.linspace(0.055, 0.04, 6),
            material=frame,
            segments=10,
        )
        legs.append(placed(leg, turn=(0, 0, 120 * k)))
    hub = placed(ellipsoid((0.1, 0.1, 0.1), material=frame, segments=16), move=(0, 0, height))
    return [*legs, hub, *_shade(random, colors, level=height + 0.03, size=random.uniform(0.45, 0.65))]


def _desk_lamp(random: np.random.Generator) -> list[Mesh]:
    colors = random_palette(random)
    paint, second = dyed(random, colors[0]), dyed(random, colors[1])
    metal = dyed(random, named_palette(random, METALS)[0])
    foot = lathe(
        [[0.0, 0.0], [0.42, 0.0], [0.42, 0.0], [0.42, 0.06], [0.36, 0.1], [0.0, 0.12]], material=second
    )
    elbow = np.array([random.uniform(-0.5, -0.25), 0, random.uniform(0.7, 0.95)])
    head = elbow + [random.uniform(0.6, 0.9), 0, random.uniform(0.2, 0.55)]
    parts = [foot]
    for start, end in ((np.array([0, 0, 0.1]), elbow), (elbow, head)):
        for y in (-0.045, 0.045):
            parts.append(
                sweep(np.linspace(start + [0, y, 0], end + [0, y, 0], 4), 0.028, material=metal, segments=8)
            )
        parts.append(placed(ellipsoid((0.08, 0.1, 0.08), material=second, segments=16), move=end))
    cone = smooth_curve([[0.08, 0.12], [0.12, 0.02], [0.3, -0.2], [0.36, -0.34]], 20)
    hood = lathe(
        cone,
        material=painted(random, (stripes,), colors, aspect=3.0) if random.random() < 0.5 else paint,
        segments=40,
    )
    inner = lathe(
        cone * [0.95, 1.0], material=_lit(dyed(random, np.array([0.98, 0.96, 0.88])), 0.3), segments=40
    )
    bulb = placed(
        ellipsoid(
            (0.12, 0.12, 0.14), material=_lit(dyed(random, np.array([1.0, 0.93, 0.7])), 0.9), segments=16
        ),
        move=(0, 0, -0.2),
    )
    tilt = random.uniform(-50, -15)
    return [*parts, *(placed(part, turn=(0, tilt, 0), move=head) for part in (hood, inner, bulb))]


def _lantern(random: np.random.Generator) -> list[Mesh]:
    colors = random_palette(random)
    frame = wood_paint_or_metal(random, colors)
    sides, height, radius = (
        int(random.choice([4, 5, 6, 8])),
        random.uniform(0.8, 1.2),
        random.uniform(0.38, 0.5),
    )
    taper = random.uniform(0.8, 1.3)
    glass = _lit(painted(random, FABRIC, colors[[3, 1, 4, 2, 0]], aspect=2.5), random.uniform(0.25, 0.5))
    turn = 2 * np.pi * np.arange(sides + 1) / sides
    ring = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    low, high = (np.c_[r * ring, np.full(sides + 1, z)] for r, z in ((radius, 0.1), (radius * taper, height)))
    walls = [
        grid_surface(
            np.stack([low[k : k + 2], high[k : k + 2]]) * [0.94, 0.94, 1], wrap=False, material=glass
        )
        for k in range(sides)
    ]
    bars = [sweep(np.linspace(low[k], high[k], 3), 0.035, material=frame, segments=8) for k in range(sides)]
    roof_top = height + random.uniform(0.25, 0.5)
    roof = lathe(
        [[radius * taper * 1.15, height], [0.5 * radius, (height + roof_top) / 2], [0.06, roof_top]],
        material=frame,
        segments=sides,
    )
    floor = lathe(
        [
            [0.0, 0.0],
            [radius * 1.1, 0.0],
            [radius * 1.1, 0.0],
            [radius * 1.1, 0.1],
            [radius * 1.1, 0.1],
            [0.0, 0.1],
        ],
        material=frame,
        segments=sides,
    )
    handle = sweep(upright_circle(0.14, roof_top + 0.12), 0.028, material=frame, segments=8, caps=False)
    return [*walls, *bars, roof, floor, handle]
