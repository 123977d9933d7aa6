"""Animated GIF files: for pages that show no video. 256 colours a frame, so MP4 where there is a choice."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from latentfields.evaluation.files import replacing
from latentfields.evaluation.pictures import Pixels

_HUNDREDTHS = 100
"""GIF counts the time that a frame is shown in hundredths of a second."""
_SHORTEST = 2
"""Players slow down frames that are shown for less."""


def write_gif(path: Path, frames: Iterable[Pixels], *, fps: int) -> None:
    """Write frames (H, W, 3), all of one size, to an endless GIF file that is replaced in one step.

    The rate is rounded to whole hundredths of a second a frame, and is at most 50 frames a second. Every frame has
    its own palette. Raises ValueError when there are no frames or when their sizes differ.
    """
    pictures = [Image.fromarray(frame).quantize(256) for frame in frames]
    if not pictures:
        raise ValueError("a film needs at least one frame")
    if len({picture.size for picture in pictures}) > 1:
        raise ValueError("frames of different sizes")
    duration = 10 * max(_SHORTEST, round(_HUNDREDTHS / fps))
    with replacing(path) as temporary:
        pictures[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=duration,
            loop=0,
            disposal=1,
        )
