"""How sharp a picture is, to choose between frames and to tell which photographs are blurred."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

MEASURED_SIDE = 960
"""Longer side in pixels of the pictures that are measured: larger ones are shrunk, so that cameras compare."""


def sharpness(grey: npt.NDArray[np.uint8]) -> float:
    """Return the energy of the Laplacian of a picture (H, W) over its variance; 0 for one without any contrast.

    It falls with blur and does not change with brightness and contrast. What is seen changes it, too: compare pictures
    of one scene.
    """
    values = grey.astype(np.float32)
    variance = float(values.var())
    if variance < 1e-3 or min(values.shape) < 3:
        return 0.0
    laplacian = (
        4 * values[1:-1, 1:-1] - values[:-2, 1:-1] - values[2:, 1:-1] - values[1:-1, :-2] - values[1:-1, 2:]
    )
    return float(np.square(laplacian).mean()) / variance
