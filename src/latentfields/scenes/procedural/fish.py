"""Fish."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Mesh
from latentfields.scenes.procedural.canvas import Array, Pattern
from latentfields.scenes.procedural.curves import smooth_curve
from latentfields.scenes.procedural.geometric_patterns import dots, scales, stripes, zigzag
from latentfields.scenes.procedural.natural_patterns import cells, patches
from latentfields.scenes.procedural.painting import dyed, painted
from latentfields.scenes.procedural.palettes import random_palette
from latentfields.scenes.procedural.shapes import ellipsoid, placed, plate, sweep


def fish(random: np.random.Generator) -> list[Mesh]:
    """A fish: slender to round, with fins and a tail, scaled, striped or spotted."""
    colors = random_palette(random)
    skins: tuple[Pattern, ...] = (scales, scales, stripes, zigzag, dots, patches, cells)
    skin = painted(random, skins, colors, aspect=0.8)
    fin = painted(random, (stripes,), colors[[2, 1, 3, 0, 4]], aspect=1.0)
    tall, flat = random.uniform(0.28, 0.6), random.uniform(0.35, 0.7)
    bend = random.uniform(-0.25, 0.25)
    along = np.linspace(0, 1, 44)
    spine = np.stack([2 * along - 1, bend * (along - 0.5) ** 2, 0.04 * np.sin(3 * along)], axis=1)
    control = [[0.05], [0.55 * tall], [0.95 * tall], [tall], [0.8 * tall], [0.4 * tall], [0.09]]
    body = sweep(spine, smooth_curve(control, 44)[:, 0], material=skin, segments=32, flat=flat)
    tail_end = spine[-1]
    fork, spread = random.uniform(0.0, 0.35), random.uniform(0.35, 0.6)
    tail = plate(
        [[0, 0.06], [0.45, spread], [0.5 - fork, 0.0], [0.45, -spread], [0, -0.06], [-0.05, 0]],
        thickness=0.04,
        material=fin,
    )
    parts = [body, placed(tail, move=tail_end)]
    ridge = np.linspace(0.2, 0.78, 9)
    crest = np.interp(ridge, along, smooth_curve(control, 44)[:, 0])
    rise = random.uniform(0.18, 0.45) * np.sin(np.linspace(0.5, np.pi, 9)) * random.uniform(0.75, 1.0, 9)
    outline = np.concatenate(
        [np.stack([2 * ridge - 1, crest - 0.08], 1), np.stack([2 * ridge - 1 + 0.12, crest + rise], 1)[::-1]]
    )
    parts.append(plate(outline, thickness=0.035, material=fin))
    if random.random() < 0.7:
        parts.append(
            placed(plate(outline * [0.6, 0.8] + [0.18, 0], thickness=0.035, material=fin), scale=(1, 1, -1))
        )
    eye_at = int(0.16 * 44)
    out = flat * np.interp(0.16, along, smooth_curve(control, 44)[:, 0])
    for sign in (-1, 1):
        side = plate(
            [[0, 0.05], [0.3, 0.16], [0.34, -0.02], [0.26, -0.14], [0, -0.05]], thickness=0.03, material=fin
        )
        parts.append(
            placed(side, turn=(0, 15, 35 * sign), move=(-0.35, sign * flat * tall * 0.85, -0.12 * tall))
        )
        parts += _eye(random, spine[eye_at] + [0, sign * out * 0.9, 0.2 * tall], sign)
    return parts


def _eye(random: np.random.Generator, at: Array, sign: float) -> list[Mesh]:
    white = ellipsoid((0.085, 0.05, 0.085), material=dyed(random, np.array([0.95, 0.93, 0.88])), segments=16)
    pupil = ellipsoid((0.05, 0.04, 0.05), material=dyed(random, np.array([0.05, 0.05, 0.07])), segments=14)
    return [placed(white, move=at), placed(pupil, move=at + np.array([-0.012, 0.03 * sign, 0.0]))]
