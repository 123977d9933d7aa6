"""Random colour palettes that look chosen: hues by a scheme, lightness well apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentfields.scenes.objects.textures import linear_to_srgb

Array = NDArray[np.float64]

_SCHEMES = (
    (0.0, 25.0, -30.0, 50.0),  # neighbours
    (0.0, 180.0, 20.0, 200.0),  # opposites
    (0.0, 120.0, 240.0, 60.0),  # a triad
    (0.0, 150.0, 210.0, 30.0),  # split opposites
    (0.0, 8.0, -8.0, 180.0),  # one hue and an accent
)
_OKLAB_TO_CONE = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_OKLAB_TO_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
WOODS = ((0.36, 0.07, 55.0), (0.48, 0.08, 60.0), (0.58, 0.09, 70.0), (0.68, 0.08, 75.0), (0.30, 0.04, 45.0))
METALS = (
    (0.62, 0.01, 250.0),
    (0.80, 0.10, 90.0),
    (0.58, 0.10, 55.0),
    (0.35, 0.01, 260.0),
    (0.88, 0.01, 100.0),
)


def oklch(lightness: float, chroma: float, hue: float) -> Array:
    """sRGB (3,) in [0, 1] of a perceptual colour: lightness in [0, 1], hue in degrees.

    Chroma (up to about 0.3) is lowered until the colour can be shown.
    """
    direction = np.array([np.cos(np.radians(hue)), np.sin(np.radians(hue))])
    for fraction in np.linspace(1, 0, 17):
        linear = (
            _OKLAB_TO_LINEAR @ (_OKLAB_TO_CONE @ np.array([lightness, *(fraction * chroma * direction)])) ** 3
        )
        if linear.min() >= -2e-3 and linear.max() <= 1.002:
            break
    return linear_to_srgb(linear).astype(np.float64)


def random_palette(random: np.random.Generator) -> Array:
    """Five sRGB colours (5, 3) in [0, 1]: a ground, three that contrast with it, and a near-neutral."""
    scheme = _SCHEMES[random.integers(len(_SCHEMES))]
    hue = random.uniform(0, 360)
    chroma = random.choice([0.04, 0.08, 0.11, 0.14, 0.18])
    levels = (
        np.array([0.62, 0.85, 0.40, 0.74]) if random.random() < 0.55 else np.array([0.84, 0.48, 0.66, 0.33])
    )
    if random.random() < 0.2:
        levels = np.array([0.34, 0.80, 0.58, 0.90])
    colors = [
        oklch(level + random.uniform(-0.05, 0.05), chroma * random.uniform(0.7, 1.2), hue + shift)
        for level, shift in zip(levels, scheme, strict=True)
    ]
    neutral = oklch(random.choice([0.95, 0.90, 0.25]), 0.015, hue)
    return np.array([*colors, neutral])


def named_palette(random: np.random.Generator, tones: ArrayLike) -> Array:
    """Five sRGB colours (5, 3) around one of some tones (T, 3) of lightness, chroma and hue in degrees."""
    tone = np.asarray(tones)[random.integers(len(np.asarray(tones)))]
    shifts = np.array([0.0, -0.09, 0.08, -0.16, 0.14]) * random.uniform(0.7, 1.2)
    hue = tone[2] + random.uniform(-8, 8)
    return np.array([oklch(float(np.clip(tone[0] + s, 0.08, 0.97)), tone[1], hue) for s in shifts])
