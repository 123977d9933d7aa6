"""The resolution of frames: low while the camera moves, then higher, full once it rests.

Times are in seconds; `now` is any clock that only goes forwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MOVING_SECONDS = 0.08
"""What a frame may take while the camera moves."""
SHARP_SECONDS = 0.5
"""A frame at full resolution that takes longer is approached by doubling the resolution."""
REST_SECONDS = 0.15
"""The camera rests when it has not moved for so long."""
FIRST_SHARE = 0.25
"""Share of the full height of the very first frame, when nothing has been measured."""
SMALLEST_CELLS = 4
"""Rendered features per side that a frame has at least."""


@dataclass(frozen=True)
class FrameSize:
    """Size of a frame in pixels, multiples of the factor."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def frame_size(height: float, *, aspect: float, factor: int) -> FrameSize:
    """The size nearest to `height` whose sides are multiples of `factor` and have about the ratio `aspect`.

    `aspect` is width over height, above 0. Both sides have at least `SMALLEST_CELLS` features.
    """
    rows = max(SMALLEST_CELLS, round(height / factor))
    columns = max(SMALLEST_CELLS, round(rows * aspect))
    return FrameSize(columns * factor, rows * factor)


@dataclass(frozen=True)
class NextFrame:
    """A frame to render."""

    height: float
    """Wanted height in pixels."""
    wait: float
    """Seconds until it is due; 0 is at once."""


class Sharpening:
    """The resolution of one client's next frame, from what its last ones took."""

    def __init__(self) -> None:
        self.seconds_per_pixel: float | None = None
        """Measured, a running mean; None before the first frame."""
        self._stale = True
        self._moved_at = -math.inf
        self._drawn_height = 0.0

    def moved(self, now: float) -> None:
        """The camera is elsewhere."""
        self._stale, self._moved_at = True, now

    def changed(self) -> None:
        """Something else than the camera is different: the picture is out of date, but nothing moves."""
        self._stale = True

    def next(self, now: float, *, full: float, aspect: float) -> NextFrame | None:
        """The next frame when `full` is the height at rest; None when the picture is final."""
        full_seconds = self._seconds(full, aspect)
        if self._stale:
            moving = now - self._moved_at < REST_SECONDS
            limit = MOVING_SECONDS if moving else SHARP_SECONDS
            if full_seconds is None:
                return NextFrame(FIRST_SHARE * full, 0.0)
            return NextFrame(full * min(1.0, math.sqrt(limit / max(full_seconds, 1e-9))), 0.0)
        if self._drawn_height >= full:
            return None
        direct = full_seconds is not None and full_seconds <= SHARP_SECONDS
        height = full if direct else min(full, 2 * self._drawn_height)
        return NextFrame(height, max(0.0, self._moved_at + REST_SECONDS - now))

    def started(self) -> None:
        """A frame for the camera as it is now is being rendered; whatever changes from here on needs another."""
        self._stale = False

    def drew(self, frame: NextFrame, *, size: FrameSize, seconds: float) -> None:
        """`frame` was rendered at `size` and took `seconds`."""
        self._drawn_height = frame.height
        measured = seconds / size.pixels
        before = measured if self.seconds_per_pixel is None else self.seconds_per_pixel
        self.seconds_per_pixel = 0.5 * (before + measured)

    def gave_up(self) -> None:
        """The frame could not be rendered: what was drawn before stays until something changes."""
        self._drawn_height = math.inf

    def _seconds(self, height: float, aspect: float) -> float | None:
        return None if self.seconds_per_pixel is None else self.seconds_per_pixel * height * height * aspect
