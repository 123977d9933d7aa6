from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from helpers.corner_scene import corner_cameras, pictures
from latentfields.structure_from_motion.sharpness import sharpness


def picture() -> Image.Image:
    return Image.fromarray(pictures(corner_cameras(1, width=160, height=120), detail=40.0)[0]).convert("L")


def test_a_checkerboard_is_known() -> None:
    """Values of 0 and 2: the Laplacian is 8 everywhere, the variance 1."""
    board = (2 * (np.indices((8, 8)).sum(axis=0) % 2)).astype(np.uint8)
    assert sharpness(board) == pytest.approx(64.0)


def test_blur_lowers_it() -> None:
    values = [
        sharpness(np.asarray(picture().filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 1, 2, 4)
    ]
    assert values == sorted(values, reverse=True)
    assert values[2] < 0.4 * values[0]


def test_brightness_and_contrast_do_not_change_it() -> None:
    pixels = np.asarray(picture()).astype(np.float64)
    darker = (20 + 0.5 * pixels).round().astype(np.uint8)
    assert sharpness(darker) == pytest.approx(sharpness(np.asarray(picture())), rel=0.02)


@pytest.mark.parametrize("shape", [(4, 4), (1, 9), (2, 2)])
def test_a_picture_of_nothing_is_not_sharp(shape: tuple[int, int]) -> None:
    assert sharpness(np.full(shape, 7, dtype=np.uint8)) == 0.0
