from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from latentfields.pages.pictures import Pixels
from latentfields.pages.video import write_gif, write_mp4


def moving_square(height: int, width: int, *, count: int) -> list[np.ndarray]:
    """Frames of a saturated square that moves right on a grey gradient."""
    grey = np.linspace(40, 200, width).astype(np.uint8)
    background = np.tile(grey[None, :, None], (height, 1, 3))
    frames = []
    for index in range(count):
        frame = background.copy()
        frame[8:24, 8 + 2 * index : 24 + 2 * index] = (220, 40, 60)
        frames.append(frame)
    return frames


def read(path: Path) -> tuple[list[np.ndarray], av.VideoStream]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], stream


def test_a_film_reads_back_with_its_frames_rate_and_colours(tmp_path: Path) -> None:
    frames = moving_square(48, 64, count=12)
    path = tmp_path / "orbit" / "film.mp4"
    write_mp4(path, frames, fps=24)
    decoded, stream = read(path)
    assert len(decoded) == 12
    assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    assert stream.average_rate == 24
    # Both the conversion and the tag are BT.709: a player that trusts the tag shows the colours that went in.
    assert stream.codec_context.colorspace == 1
    for before, after in zip(frames, decoded, strict=True):
        error = np.abs(before.astype(int) - after.astype(int))
        assert error.mean() < 3
    inside = decoded[0][12:20, 12:20].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(inside, (220, 40, 60), atol=8)
    assert [p.name for p in path.parent.iterdir()] == ["film.mp4"]


def test_odd_sizes_repeat_the_last_row_and_column(tmp_path: Path) -> None:
    frames = moving_square(33, 47, count=2)
    write_mp4(tmp_path / "odd.mp4", frames, fps=10)
    decoded, _ = read(tmp_path / "odd.mp4")
    assert decoded[0].shape == (34, 48, 3)
    difference = np.abs(decoded[0][:, 47].astype(int) - decoded[0][:, 46].astype(int))
    assert difference.mean() < 4


def test_the_index_comes_first_and_equal_frames_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_mp4(tmp_path / name, iter(moving_square(48, 64, count=5)), fps=24)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content == (tmp_path / "b.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([], "at least one frame"),
        (moving_square(32, 32, count=1) + moving_square(32, 48, count=1), "two sizes"),
    ],
)
def test_a_film_that_cannot_be_written_keeps_the_old_one(
    tmp_path: Path, frames: list[Pixels], problem: str
) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"the old film")
    with pytest.raises(ValueError, match=problem):
        write_mp4(path, frames, fps=24)
    assert path.read_bytes() == b"the old film"
    assert list(tmp_path.iterdir()) == [path]


def gif_frames(count: int) -> list[Pixels]:
    return [np.full((8, 12, 3), (20 * index, 100, 255 - 20 * index), np.uint8) for index in range(count)]


def test_frames_of_a_gif_come_back(tmp_path: Path) -> None:
    # Read by another decoder than the one that wrote it.
    write_gif(tmp_path / "new" / "film.gif", gif_frames(5), fps=20)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["film.gif"]
    with av.open(str(tmp_path / "new" / "film.gif")) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 5
    for found, expected in zip(decoded, gif_frames(5), strict=True):
        assert np.abs(found.astype(int) - expected).max() <= 2


@pytest.mark.parametrize(("fps", "milliseconds"), [(20, 50), (30, 30), (1, 1000), (500, 20)])
def test_the_rate_of_a_gif_is_in_hundredths_of_a_second(tmp_path: Path, fps: int, milliseconds: int) -> None:
    write_gif(tmp_path / "film.gif", gif_frames(2), fps=fps)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.info["duration"] == milliseconds
        assert film.info["loop"] == 0


def test_what_is_no_gif_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        write_gif(tmp_path / "film.gif", [], fps=20)
    with pytest.raises(ValueError, match="different sizes"):
        write_gif(tmp_path / "film.gif", [*gif_frames(1), np.zeros((9, 12, 3), np.uint8)], fps=20)
    assert not list(tmp_path.iterdir())
