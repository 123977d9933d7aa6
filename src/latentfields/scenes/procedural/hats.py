"""Hats: crowns and brims in many combinations, caps and knitted beanies."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.canvas import Array, Pattern
from latentfields.scenes.procedural.curves import angles, smooth_curve
from latentfields.scenes.procedural.geometric_patterns import stripes, weave, zigzag
from latentfields.scenes.procedural.natural_patterns import patches, plain
from latentfields.scenes.procedural.painting import FABRIC, dyed, painted
from latentfields.scenes.procedural.palettes import named_palette, random_palette
from latentfields.scenes.procedural.shapes import ellipsoid, grid_surface, lathe, placed, sweep

_SEGMENTS = 64


_FELT: tuple[Pattern, ...] = (plain, patches, *FABRIC)


def hat(random: np.random.Generator) -> list[Mesh]:
    """A brimmed hat, a fez or cone, a peaked cap, or a beanie."""
    maker = random.choice([0, 0, 0, 0, 1, 2])
    return (_brimmed, _cap, _beanie)[maker](random)


def _brimmed(random: np.random.Generator) -> list[Mesh]:
    colors = random_palette(random)
    if random.random() < 0.35:  # straw
        colors[:2] = named_palette(random, [(0.83, 0.07, 90), (0.72, 0.09, 80), (0.88, 0.05, 95)])[:2]
        cloth, brim_cloth = (painted(random, (weave, weave, stripes), colors, aspect=a) for a in (4.0, 8.0))
    else:
        kinds = (_FELT[random.integers(len(_FELT))],)
        cloth, brim_cloth = (painted(random, kinds, colors, aspect=a) for a in (3.5, 8.0))
    style = str(random.choice(["dome", "creased", "creased", "tall", "cone", "drum"]))
    crown = _crown_profile(random, style)
    lift = _crease(random, crown) if style == "creased" else 0.0
    parts = [lathe(crown, material=cloth, segments=_SEGMENTS, lift=lift)]
    if style == "cone" and random.random() < 0.7:
        parts = [_bent(parts[0], random)]
    if style != "drum" or random.random() < 0.7:
        parts.append(_brim(random, crown[0, 0], brim_cloth))
    parts += _ribbon(
        random, crown, painted(random, (plain, stripes, zigzag), colors[[3, 1, 4, 2, 0]], aspect=14.0)
    )
    oval = random.uniform(1.0, 1.25)
    return [placed(part, scale=(oval, 1, 1)) for part in parts]


def _crown_profile(random: np.random.Generator, style: str) -> Array:
    """Radii and heights (K, 2) from the brim up to the tip."""
    base, height = 0.62, random.uniform(0.5, 0.8)
    if style == "tall":
        height, flare = random.uniform(0.8, 1.4), random.uniform(0.85, 1.15)
        side = smooth_curve([[base, 0], [base * 0.94, height * 0.5], [base * flare, height]], 24)
        return np.concatenate([side, side[-1:], [[side[-1, 0] - 0.05, height + 0.02], [0.0, height + 0.02]]])
    if style == "cone":
        height = random.uniform(1.1, 1.9)
        return smooth_curve(
            [[base, 0], [0.45 * base + 0.05, 0.42 * height], [0.2 * base, 0.78 * height], [0.0, height]], 40
        )
    if style == "drum":
        height, top = random.uniform(0.4, 0.8), base * random.uniform(0.75, 1.05)
        return np.concatenate(
            [
                smooth_curve([[base, 0], [top, height]], 12),
                [[top, height], [top - 0.03, height + 0.02], [0.0, height + 0.03]],
            ]
        )
    shoulder = 0.55 if style == "dome" else 0.85
    control = [
        [base, 0],
        [base * 0.98, 0.4 * height],
        [base * shoulder + 0.12, 0.85 * height],
        [0.22, height],
        [0.0, height * 1.01],
    ]
    return smooth_curve(control, 40)


def _crease(random: np.random.Generator, crown: Array) -> Array:
    """A lengthwise dent in the top of the crown: lifts (K, segments)."""
    x = crown[:, :1] * np.cos(angles(_SEGMENTS))
    y = crown[:, :1] * np.sin(angles(_SEGMENTS))
    top = np.clip((crown[:, 1:] / crown[-1, 1] - 0.7) / 0.3, 0, 1) ** 2
    depth = random.uniform(0.14, 0.28)
    front = 0.10 * np.clip(-x / 0.5, -1, 1)
    lift: Array = top * (front - depth * np.exp(-((y / 0.17) ** 2)))
    return lift


def _bent(cone: Mesh, random: np.random.Generator) -> Mesh:
    """A pointed hat whose tip leans over."""
    height = cone.vertices[:, 2].max()
    along = np.clip(cone.vertices[:, 2] / height, 0, 1)
    moved = cone.vertices.copy()
    moved[:, 0] += random.uniform(0.2, 0.6) * along**2.5
    moved[:, 2] -= random.uniform(0.1, 0.35) * along**4
    return placed(cone, move=moved - cone.vertices)


def _brim(random: np.random.Generator, inner: float, material: Material) -> Mesh:
    width = random.uniform(0.18, 0.75)
    across = np.linspace(0, 1, 12)
    radius = inner - 0.02 + width * across
    profile = np.concatenate(
        [np.stack([radius, 0 * across], 1), np.stack([radius[::-1], 0 * across - 0.03], 1)]
    )
    reach = np.concatenate([across, across[::-1]])[:, None]
    angle = angles(_SEGMENTS)[None]
    kind = random.choice(["flat", "wavy", "rolled", "down", "up"])
    bend = {
        "flat": -0.05 * np.ones_like(angle),
        "wavy": 0.10 * np.sin(random.integers(3, 7) * angle) - 0.05,
        "rolled": width * (0.75 * np.sin(angle) ** 2 - 0.2),
        "down": -width * random.uniform(0.4, 0.9) * np.ones_like(angle),
        "up": width * random.uniform(0.3, 0.7) * np.ones_like(angle),
    }[str(kind)]
    return lathe(
        profile, material=material, segments=_SEGMENTS, lift=reach ** random.uniform(1.0, 2.2) * bend
    )


def _ribbon(random: np.random.Generator, crown: Array, material: Material) -> list[Mesh]:
    """A band around the foot of the crown, sometimes with a bow or a feather."""
    height = random.uniform(0.10, 0.2)
    z = np.linspace(0.015, height, 5)
    band = np.stack([np.interp(z, crown[:, 1], crown[:, 0]) + 0.015, z], axis=1)
    parts = [lathe(band, material=material, segments=_SEGMENTS)]
    side = band[2, 0]
    if random.random() < 0.35:
        for sign in (-1, 1):
            loop = ellipsoid((0.13, 0.05, 0.08), material=material, segments=16)
            parts.append(placed(loop, turn=(0, 20 * sign, 0), move=(0.11 * sign, -side - 0.03, height * 0.6)))
    elif random.random() < 0.35:
        quill = smooth_curve([[0.0, 0.0, 0.0], [-0.1, -0.06, 0.25], [-0.3, -0.08, 0.5]], 14)
        width = 0.09 * np.sin(np.linspace(0.35, np.pi - 0.05, 14))
        feather = sweep(quill, width, material=material, flat=0.15)
        parts.append(placed(feather, turn=(0, 0, random.uniform(0, 360)), move=(0, -side, height * 0.4)))
    return parts


def _cap(random: np.random.Generator) -> list[Mesh]:
    """A peaked cap of six panels."""
    colors = random_palette(random)
    height = random.uniform(0.5, 0.66)
    angle = np.linspace(0, np.pi / 2, 26)
    profile = np.stack([0.62 * np.cos(angle) ** 0.75, height * np.sin(angle) ** 0.9], axis=1)
    profile[-1, 0] = 0.0
    seams = 1 - 0.018 * np.abs(np.cos(3 * angles(_SEGMENTS))) ** 24
    dome = lathe(
        profile,
        material=painted(random, (*_FELT, stripes), colors, aspect=3.5),
        segments=_SEGMENTS,
        scale=seams,
    )
    sweep_of_peak = np.radians(random.uniform(55, 68))
    turn = np.linspace(-sweep_of_peak, sweep_of_peak, 28)
    out = np.linspace(0, 1, 10)[:, None]
    reach = random.uniform(0.35, 0.55) * np.cos(turn / sweep_of_peak * np.pi / 2) ** 0.6
    radius = 0.60 + out * reach
    peak_height = 0.03 - 0.10 * out**1.5 - random.uniform(0.15, 0.35) * (radius * np.sin(turn)) ** 2
    grid = np.stack([radius * np.cos(turn), radius * np.sin(turn), peak_height], axis=-1)
    both = np.concatenate([grid, grid[::-1] - [0, 0, 0.025]])
    peak = grid_surface(
        both, wrap=False, material=painted(random, _FELT, colors[[1, 0, 2, 3, 4]], aspect=2.0)
    )
    button = placed(
        ellipsoid((0.06, 0.06, 0.04), material=dyed(random, colors[1]), segments=14), move=(0, 0, height)
    )
    badge = placed(
        ellipsoid(
            (0.03, 0.16, 0.13),
            material=painted(random, FABRIC, colors[[4, 2, 1, 3, 0]], aspect=1.0),
            segments=20,
        ),
        move=(0.555, 0, 0.24),
        turn=(0, -18, 0),
    )
    return [dome, peak, button, *([badge] if random.random() < 0.6 else [])]


def _beanie(random: np.random.Generator) -> list[Mesh]:
    """A knitted hat: ribs, a folded cuff, often a bobble."""
    colors = random_palette(random)
    height = random.uniform(0.65, 0.95)
    profile = smooth_curve(
        [[0.58, 0], [0.63, 0.3 * height], [0.5, 0.75 * height], [0.2, 0.97 * height], [0.0, height]], 36
    )
    ribs = 1 + 0.02 * np.cos(random.integers(14, 22) * angles(84))
    knit = painted(random, (stripes, zigzag, *FABRIC), colors, aspect=3.2)
    cuff_height = random.uniform(0.18, 0.3)
    cuff = smooth_curve(
        [[0.58, -0.02], [0.67, 0.0], [0.68, cuff_height / 2], [0.67, cuff_height], [0.6, cuff_height + 0.02]],
        14,
    )
    parts = [
        lathe(profile, material=knit, segments=84, scale=ribs),
        lathe(
            cuff,
            material=painted(random, FABRIC, colors[[2, 0, 3, 1, 4]], aspect=12.0),
            segments=84,
            scale=ribs,
        ),
    ]
    if random.random() < 0.75:
        size = random.uniform(0.14, 0.24)
        rows = np.linspace(-np.pi / 2, np.pi / 2, 22)
        ball = np.stack([size * np.cos(rows), size * np.sin(rows) + height + 0.6 * size], axis=1)
        ball[[0, -1], 0] = 0.0
        tufts = 1 + random.normal(0, 0.09, (22, 40))
        parts.append(
            lathe(
                ball,
                material=painted(random, (patches, plain), colors[[1, 3, 4, 0, 2]]),
                segments=40,
                scale=tufts,
            )
        )
    return parts
