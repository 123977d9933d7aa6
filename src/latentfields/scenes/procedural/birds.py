"""Birds."""

from __future__ import annotations

import numpy as np

from latentfields.scenes.objects.meshes import Mesh
from latentfields.scenes.procedural.canvas import Pattern
from latentfields.scenes.procedural.curves import smooth_curve
from latentfields.scenes.procedural.geometric_patterns import dots, scales, stripes, zigzag
from latentfields.scenes.procedural.natural_patterns import patches
from latentfields.scenes.procedural.painting import dyed, painted
from latentfields.scenes.procedural.palettes import named_palette, random_palette
from latentfields.scenes.procedural.shapes import ellipsoid, placed, plate, sweep

_EYE = np.array([0.05, 0.04, 0.05])
_PLUMAGE: tuple[Pattern, ...] = (scales, scales, stripes, dots, patches, zigzag)


def bird(random: np.random.Generator) -> list[Mesh]:
    """A bird: duck, hen or parrot by its proportions."""
    colors = random_palette(random)
    plumage = painted(random, (_PLUMAGE[random.integers(len(_PLUMAGE))],), colors, aspect=1.0)
    wing = painted(random, _PLUMAGE, colors[[1, 2, 0, 3, 4]], aspect=1.5)
    beak = dyed(random, named_palette(random, [(0.75, 0.16, 70), (0.65, 0.17, 45), (0.35, 0.02, 60)])[0])
    tall, fat = random.uniform(0.35, 0.8), random.uniform(0.36, 0.52)
    leg = random.uniform(0.12, 0.6)
    body = smooth_curve(
        [
            [0.75, 0, leg + 0.45],
            [0.3, 0, leg + 0.36],
            [-0.15, 0, leg + 0.42],
            [-0.42, 0, leg + 0.45 + 0.55 * tall],
            [-0.5, 0, leg + 0.5 + tall],
        ],
        34,
    )
    width = smooth_curve([[0.06], [0.8 * fat], [fat], [random.uniform(0.35, 0.6) * fat], [0.5 * fat]], 34)[
        :, 0
    ]
    head = body[-1] + [-0.02, 0, 0.05]
    size = random.uniform(0.2, 0.3)
    reach = random.uniform(0.2, 0.5)
    parts = [
        sweep(body, width, material=plumage, segments=28),
        placed(ellipsoid([size] * 3, material=plumage, segments=24), move=head),
        sweep(
            smooth_curve(
                [
                    head + [-0.6 * size, 0, 0],
                    head + [-size - 0.5 * reach, 0, 0.01],
                    head + [-size - reach, 0, -0.06],
                ],
                12,
            ),
            np.linspace(0.45, 0.08, 12) * size,
            material=beak,
            segments=14,
            flat=1.3,
        ),
        placed(
            plate(
                [[0, -0.06], [0.5, -0.22], [0.55, 0.0], [0.5, 0.22], [0, 0.06]], thickness=0.04, material=wing
            ),
            turn=(90, -20, 0),
            move=(0.65, 0, leg + 0.46),
        ),
    ]
    for sign in (-1, 1):
        feather = ellipsoid((0.48, 0.07, 0.24), material=wing, segments=22)
        parts.append(placed(feather, turn=(0, -14, -10 * sign), move=(0.12, sign * fat * 0.92, leg + 0.44)))
        eye = head + np.array([-0.5 * size, 0.72 * sign * size, 0.25 * size])
        parts.append(placed(ellipsoid([0.22 * size] * 3, material=dyed(random, _EYE), segments=12), move=eye))
        ankle = np.array([0.1, 0.16 * sign, 0.03])
        parts.append(
            sweep(np.linspace([0.06, 0.16 * sign, leg + 0.15], ankle, 5), 0.04, material=beak, segments=10)
        )
        parts.append(
            placed(ellipsoid((0.17, 0.11, 0.035), material=beak, segments=14), move=ankle + [-0.08, 0, 0])
        )
    if random.random() < 0.4:
        comb = plate(
            [[-0.1, 0], [-0.14, 0.14], [-0.04, 0.09], [0.02, 0.2], [0.07, 0.1], [0.16, 0.13], [0.12, 0]],
            thickness=0.05,
            material=beak,
        )
        parts.append(placed(comb, move=head + [0, 0, 0.85 * size]))
    return parts
