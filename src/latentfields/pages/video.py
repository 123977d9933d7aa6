"""Films: MP4 files that browsers play (H.264, 4:2:0, tagged as BT.709), and animated GIF files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from latentfields.files import replacing
from latentfields.pages.pictures import Pixels

_BT709 = 1  # the code H.264 has for its primaries, its transfer curve and its matrix
_QUALITY = "20"  # constant rate factor: 18 looks lossless, 23 is the encoder's default


def write_mp4(path: Path, frames: Iterable[Pixels], *, fps: int) -> None:
    """Write frames (H, W, 3), all of one size, to an MP4 file that is replaced in one step.

    4:2:0 needs even sides: an odd last row or column is repeated once. Equal frames give equal bytes. Raises
    ValueError when there are no frames or when their sizes differ.
    """
    # "faststart" puts the index first, so that players start at once; "bitexact" leaves out tags of versions.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with replacing(path) as temporary:
        container = av.open(str(temporary), "w", format="mp4", options=options)
        try:
            _encode(container, iter(frames), fps=fps)
        finally:
            container.close()


def _encode(container: OutputContainer, frames: Iterator[Pixels], *, fps: int) -> None:
    first = next(frames, None)
    if first is None:
        raise ValueError("a film needs at least one frame")
    stream = _add_stream(container, height=first.shape[0], width=first.shape[1], fps=fps)
    container.mux(stream.encode(_even_frame(first)))
    for frame in frames:
        if frame.shape != first.shape:
            raise ValueError(f"frames of two sizes, {first.shape} and {frame.shape}")
        container.mux(stream.encode(_even_frame(frame)))
    container.mux(stream.encode(None))


def _add_stream(container: OutputContainer, *, height: int, width: int, fps: int) -> av.VideoStream:
    # One thread: how x264 divides work between threads changes its bytes.
    stream = container.add_stream("libx264", rate=fps, options={"crf": _QUALITY, "threads": "1"})
    stream.height, stream.width = height + height % 2, width + width % 2
    stream.pix_fmt = "yuv420p"
    codec = stream.codec_context
    codec.color_primaries = codec.color_trc = codec.colorspace = _BT709
    codec.color_range = ColorRange.MPEG
    return stream


def _even_frame(pixels: Pixels) -> av.VideoFrame:
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


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
