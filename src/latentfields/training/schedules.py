"""How learning rates fall."""

import math


def cosine_decay(progress: float, *, final: float) -> float:
    """Fraction of the peak at `progress` in [0, 1]: half a period of a cosine, from 1 down to `final`."""
    return final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2
