from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageFilter

from helpers.corner_scene import corner_cameras, pictures
from latentfields.errors import InputError
from latentfields.pages.video import write_mp4
from latentfields.structure_from_motion.films import write_sharp_frames


def numbered(count: int, *, sharp: set[int] | None = None) -> list[np.ndarray]:
    """Frames whose left half tells their number by its brightness, all but the `sharp` ones blurred."""
    texture = Image.fromarray(pictures(corner_cameras(1, width=128, height=96), detail=40.0)[0])
    blurred = texture.filter(ImageFilter.GaussianBlur(2))
    frames = []
    for number in range(count):
        frame = np.array(texture if sharp is None or number in sharp else blurred)
        frame[:, :32] = 20 + 200 * number // count
        frames.append(frame)
    return frames


def numbers(folder: Path, count: int) -> list[int]:
    """Which frames were taken."""
    brightness = [float(np.asarray(Image.open(path))[:, 4:28].mean()) for path in sorted(folder.iterdir())]
    return [round((value - 20) * count / 200) for value in brightness]


def test_of_neighbours_the_sharpest_is_taken(tmp_path: Path) -> None:
    """40 frames, 4 wanted: of 0 to 9 the middle half is 2 to 6; frame 0 is sharp, but too far off."""
    sharp = {0, 4, 16, 25, 33}
    write_mp4(tmp_path / "film.mp4", numbered(40, sharp=sharp), fps=10)
    (tmp_path / "frames").mkdir()
    written: list[int] = []
    count = write_sharp_frames(
        tmp_path / "film.mp4", tmp_path / "frames", count=4, on_frame=lambda: written.append(1)
    )
    assert count == len(written) == 4
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [
        f"frame_{number:04d}.jpg" for number in (1, 2, 3, 4)
    ]
    assert numbers(tmp_path / "frames", 40) == [4, 16, 25, 33]


def test_frames_are_evenly_spaced(tmp_path: Path) -> None:
    write_mp4(tmp_path / "film.mp4", numbered(60), fps=30)
    (tmp_path / "frames").mkdir()
    assert write_sharp_frames(tmp_path / "film.mp4", tmp_path / "frames", count=12) == 12
    steps = np.diff(numbers(tmp_path / "frames", 60))
    assert steps.min() >= 3
    assert steps.max() <= 7


def test_short_films_give_all_frames(tmp_path: Path) -> None:
    write_mp4(tmp_path / "film.mp4", numbered(5), fps=10)
    (tmp_path / "frames").mkdir()
    assert write_sharp_frames(tmp_path / "film.mp4", tmp_path / "frames", count=100) == 5
    assert numbers(tmp_path / "frames", 5) == [0, 1, 2, 3, 4]


@pytest.mark.skipif(
    not hasattr(av.VideoStream, "set_display_rotation"), reason="this PyAV cannot write turned films"
)
def test_frames_of_a_camera_held_upright_are_upright(tmp_path: Path) -> None:
    """A phone stores them lying, and says so."""
    upright = np.zeros((96, 64, 3), dtype=np.uint8)
    upright[:32] = 200
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_rotation(90)
        for _ in range(4):
            lying = np.ascontiguousarray(np.rot90(upright, -1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(lying, format="rgb24")))
        container.mux(stream.encode(None))
    (tmp_path / "frames").mkdir()
    write_sharp_frames(tmp_path / "film.mp4", tmp_path / "frames", count=3)
    pixels = np.asarray(Image.open(tmp_path / "frames" / "frame_0001.jpg"))
    assert pixels.shape == (96, 64, 3)
    assert pixels[:24].mean() > 150
    assert pixels[40:].mean() < 50


def test_two_frames_are_no_film(tmp_path: Path) -> None:
    write_mp4(tmp_path / "film.mp4", numbered(2), fps=10)
    with pytest.raises(InputError, match=r"film\.mp4: has 2 frames; poses need at least 3"):
        write_sharp_frames(tmp_path / "film.mp4", tmp_path, count=3)


def test_damaged_films_are_refused(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"no film at all")
    with pytest.raises(InputError, match="cannot be read as a film"):
        write_sharp_frames(tmp_path / "film.mp4", tmp_path, count=3)


def test_sounds_are_no_film(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 2048), dtype=np.float32), format="fltp", layout="mono"
        )
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="has no pictures; expected a film"):
        write_sharp_frames(tmp_path / "sound.mp4", tmp_path, count=3)
