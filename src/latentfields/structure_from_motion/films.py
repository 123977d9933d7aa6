"""Sharp, evenly spaced frames of a film."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from latentfields.errors import InputError
from latentfields.structure_from_motion.sharpness import MEASURED_SIDE, sharpness

FEWEST = 3
_QUALITY = 95
_CENTRE = 0.25
"""Frames that are less than this share of a window away from its sides are passed over: spacing stays even."""


def write_sharp_frames(
    film: Path, folder: Path, *, count: int, on_frame: Callable[[], object] = lambda: None
) -> int:
    """Write the sharpest frame of each of `count` equal spans of a film to `folder`, as frame_0001.jpg and so on.

    Of a span only its middle half is looked at, so that frames are spaced evenly. Films with fewer frames give all of
    them. Frames are upright, whichever way the camera was held. `on_frame` is called for every frame that was written.
    Returns their number. Raises InputError for a file that is no film, and for one of fewer than three frames.
    """
    with _opened(film) as container:
        times = sorted(packet.pts for packet in container.demux(video=0) if packet.pts is not None)
    if len(times) < FEWEST:
        raise InputError(film, f"has {len(times)} frames; poses need at least {FEWEST}")
    windows = _windows(times, min(count, len(times)))
    starts = [window[0] for window in windows]
    best: tuple[float, Any] | None = None
    current, written = 0, 0
    with _opened(film) as container:
        for frame in _decoded(container):
            index = bisect_right(starts, frame.pts) - 1
            if index > current and best is not None:
                written += _write(best[1], folder, written, on_frame)
                best = None
            current = max(current, index)
            if index >= 0 and frame.pts <= windows[index][1]:
                value = sharpness(_small_grey(frame))
                if best is None or value > best[0]:
                    best = (value, frame)
    if best is not None:
        written += _write(best[1], folder, written, on_frame)
    if written < FEWEST:
        raise InputError(film, f"only {written} of its frames can be decoded; poses need at least {FEWEST}")
    return written


def _windows(times: list[int], count: int) -> list[tuple[int, int]]:
    """The first and last time that is looked at of each of `count` spans of the sorted `times`."""
    windows = []
    for index in range(count):
        low, high = index * len(times) / count, (index + 1) * len(times) / count
        margin = _CENTRE * (high - low)
        first = min(round(low + margin), len(times) - 1)
        last = max(first, min(round(high - margin) - 1, len(times) - 1))
        windows.append((times[first], times[last]))
    return windows


def _decoded(container: Any) -> Iterator[Any]:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    for frame in container.decode(stream):
        if frame.pts is not None:
            yield frame


def _small_grey(frame: Any) -> Any:
    scale = min(1.0, MEASURED_SIDE / max(frame.width, frame.height))
    width, height = max(2, round(frame.width * scale)), max(2, round(frame.height * scale))
    return frame.reformat(width=width, height=height, format="gray").to_ndarray()


def _write(frame: Any, folder: Path, number: int, on_frame: Callable[[], object]) -> int:
    upright = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
    picture = Image.fromarray(np.ascontiguousarray(upright))
    picture.save(folder / f"frame_{number + 1:04d}.jpg", quality=_QUALITY, subsampling=0)
    on_frame()
    return 1


@contextmanager
def _opened(film: Path) -> Iterator[Any]:
    """The film, with a picture track. Raises InputError in place of what goes wrong while it is read."""
    try:
        with av.open(str(film)) as container:
            if not container.streams.video:
                raise InputError(film, "has no pictures; expected a film")
            yield container
    except (av.FFmpegError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(film, f"cannot be read as a film ({' '.join(str(error).split())[:120]})") from None
