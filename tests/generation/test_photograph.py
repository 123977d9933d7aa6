from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentfields.errors import InputError
from latentfields.generation.photograph import framed_photograph
from latentfields.priors.data import object_box, object_extent


def write(path: Path, *, background: tuple[int, ...] = (90, 120, 200), mode: str = "RGB") -> Path:
    """A red block of 30 x 60 pixels, off the middle of a picture of 200 x 100."""
    pixels = np.zeros((100, 200, len(background)), dtype=np.uint8)
    pixels[:] = background
    pixels[20:80, 130:160] = (220, 30, 30, 255)[: len(background)]
    Image.fromarray(pixels, mode=mode).save(path)
    return path


@pytest.mark.parametrize(
    ("background", "mode"), [((90, 120, 200), "RGB"), ((255, 255, 255), "RGB"), ((0, 0, 0, 0), "RGBA")]
)
def test_an_object_is_centred_on_white(tmp_path: Path, background: tuple[int, ...], mode: str) -> None:
    path = write(tmp_path / "photo.png", background=background, mode=mode)
    image = framed_photograph(path, size=64, extent=0.75)
    assert image.shape == (3, 64, 64)
    assert object_extent(image) == pytest.approx(0.75, abs=0.04)
    box = object_box(image)
    assert box is not None
    left, top, right, bottom = box
    assert abs(left + right - 64) <= 2
    assert abs(top + bottom - 64) <= 2
    assert (bottom - top) / (right - left) == pytest.approx(2, abs=0.15)
    assert image[:, 32, 32].tolist() == pytest.approx([220 / 255, 30 / 255, 30 / 255], abs=0.03)
    assert image[:, 0, 0].tolist() == [1, 1, 1]


def test_pictures_without_a_plain_background_are_refused(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    with pytest.raises(InputError, match=r"noise.png: has corners of several colours"):
        framed_photograph(tmp_path / "noise.png", size=32, extent=0.7)
    Image.fromarray(np.full((40, 40, 3), 77, dtype=np.uint8)).save(tmp_path / "plain.png")
    with pytest.raises(InputError, match=r"plain.png: shows nothing in front of a plain background"):
        framed_photograph(tmp_path / "plain.png", size=32, extent=0.7)
    with pytest.raises(InputError, match=r"gone.png: there is no such file"):
        framed_photograph(tmp_path / "gone.png", size=32, extent=0.7)
