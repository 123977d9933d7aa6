"""Depth maps as 16-bit PNG files: integers times a stated unit, 0 where nothing is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from latentfields.errors import InputError

_STEPS = 65535


def depth_unit(farthest: float) -> float:
    """The length of one step of a file whose depths reach from 0 to `farthest`."""
    return farthest / _STEPS


def write_depth(path: Path, depth: NDArray[np.float32], *, unit: float) -> None:
    """Write z-depths (H, W) in scene units, infinite where nothing is seen, rounded to steps of `unit`."""
    steps = np.where(np.isfinite(depth), np.clip(np.rint(depth / unit), 1, _STEPS), 0)
    Image.fromarray(steps.astype(np.uint16)).save(path)


def read_depth(path: Path, *, unit: float) -> NDArray[np.float32]:
    """Read z-depths (H, W) in scene units, infinite where nothing is seen.

    Raises InputError when the file is not a grey 16-bit picture.
    """
    try:
        with path.open("rb") as file, Image.open(file) as image:
            steps = np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(path, f"not a readable depth map ({error})") from error
    if steps.ndim != 2 or steps.dtype.itemsize < 2:
        raise InputError(path, "expected a grey 16-bit PNG of depths")
    return np.where(steps == 0, np.inf, steps * unit).astype(np.float32)
