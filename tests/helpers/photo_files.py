"""Small photographs for autoencoder tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def photo(seed: int, *, width: int = 40, height: int = 36) -> np.ndarray:
    """(H, W, 3) uint8: smooth colours with an edge."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    pixels = np.array(small.resize((width, height), Image.Resampling.BICUBIC))
    pixels[:, : generator.integers(4, width - 4)] //= 2
    return pixels


def write_photos(folder: Path, *, count: int = 6, width: int = 40, height: int = 36) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(photo(index, width=width, height=height)).save(folder / f"photo_{index}.png")
    return folder
