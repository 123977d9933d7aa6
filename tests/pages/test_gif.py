"""GIF films, read by another decoder than the one that wrote them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from latentfields.pages.video import write_gif


def frames(count: int) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    return [np.full((8, 12, 3), (20 * index, 100, 255 - 20 * index), np.uint8) for index in range(count)]


def test_frames_come_back(tmp_path: Path) -> None:
    write_gif(tmp_path / "new" / "film.gif", frames(5), fps=20)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["film.gif"]
    with av.open(str(tmp_path / "new" / "film.gif")) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 5
    for found, expected in zip(decoded, frames(5), strict=True):
        assert np.abs(found.astype(int) - expected).max() <= 2


@pytest.mark.parametrize(("fps", "milliseconds"), [(20, 50), (30, 30), (1, 1000), (500, 20)])
def test_the_rate_is_in_hundredths_of_a_second(tmp_path: Path, fps: int, milliseconds: int) -> None:
    write_gif(tmp_path / "film.gif", frames(2), fps=fps)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.info["duration"] == milliseconds
        assert film.info["loop"] == 0


def test_what_is_no_film_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        write_gif(tmp_path / "film.gif", [], fps=20)
    with pytest.raises(ValueError, match="different sizes"):
        write_gif(tmp_path / "film.gif", [*frames(1), np.zeros((9, 12, 3), np.uint8)], fps=20)
    assert not list(tmp_path.iterdir())
