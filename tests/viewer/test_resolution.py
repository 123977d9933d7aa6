"""How many pixels the next frame has."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.viewer.resolution import (
    MOVING_SECONDS,
    REST_SECONDS,
    SHARP_SECONDS,
    SMALLEST_CELLS,
    FrameSize,
    NextFrame,
    Sharpening,
    frame_size,
)


@settings(deadline=None, max_examples=50)
@given(height=st.floats(1, 2000), aspect=st.floats(0.2, 5), factor=st.sampled_from([1, 2, 4, 8, 16]))
def test_frames_are_whole_features_of_about_the_canvas_shape(
    height: float, aspect: float, factor: int
) -> None:
    size = frame_size(height, aspect=aspect, factor=factor)
    assert size.width % factor == size.height % factor == 0
    rows, columns = size.height // factor, size.width // factor
    assert min(rows, columns) >= SMALLEST_CELLS
    if rows > SMALLEST_CELLS:
        assert abs(size.height - height) <= factor / 2
    if columns > SMALLEST_CELLS:
        assert abs(columns - rows * aspect) <= 0.5


def drawn(sharpening: Sharpening, frame: NextFrame, *, seconds_per_pixel: float) -> float:
    """Let the frame be rendered by a machine of constant speed; returns its time."""
    size = frame_size(frame.height, aspect=1.0, factor=1)
    sharpening.started()
    seconds = seconds_per_pixel * size.pixels
    sharpening.drew(frame, size=size, seconds=seconds)
    return seconds


@settings(deadline=None, max_examples=50)
@given(full=st.floats(64, 1000), rate=st.floats(-8, -3.5))
def test_a_picture_at_rest_ends_at_the_full_height_and_then_nothing_is_due(full: float, rate: float) -> None:
    sharpening, heights = Sharpening(), []
    sharpening.moved(0.0)
    now = 0.0
    for _ in range(20):
        frame = sharpening.next(now, full=full, aspect=1.0)
        if frame is None:
            break
        now += frame.wait + drawn(sharpening, frame, seconds_per_pixel=10**rate)
        heights.append(frame.height)
    assert sharpening.next(now, full=full, aspect=1.0) is None
    assert heights[-1] == full
    assert heights == sorted(heights)


@settings(deadline=None, max_examples=50)
@given(full=st.floats(64, 1000), rate=st.floats(-7, -4))
def test_frames_stay_quick_while_the_camera_moves(full: float, rate: float) -> None:
    sharpening, now = Sharpening(), 0.0
    for _ in range(12):
        sharpening.moved(now)
        frame = sharpening.next(now, full=full, aspect=1.0)
        assert frame is not None
        assert frame.wait == 0
        seconds = drawn(sharpening, frame, seconds_per_pixel=10**rate)
        now += seconds
    # Rounding to pixels, and the smallest frame of all, may cost a little more than what was aimed at.
    smallest = 10**rate * SMALLEST_CELLS**2
    assert seconds <= max(1.3 * MOVING_SECONDS, smallest)
    if 10**rate * full**2 > MOVING_SECONDS and 4 * smallest < MOVING_SECONDS:
        assert seconds >= 0.5 * MOVING_SECONDS
        assert frame is not None
        assert frame.height < full


def test_a_sharper_frame_waits_for_the_camera_to_rest() -> None:
    sharpening = Sharpening()
    sharpening.moved(10.0)
    first = sharpening.next(10.0, full=100, aspect=1.0)
    assert first is not None
    drawn(sharpening, first, seconds_per_pixel=1e-6)
    second = sharpening.next(10.05, full=100, aspect=1.0)
    assert second is not None
    assert math.isclose(second.wait, REST_SECONDS - 0.05)
    assert second.height == 100
    sharpening.moved(10.1)
    third = sharpening.next(10.1, full=100, aspect=1.0)
    assert third is not None
    assert third.wait == 0


def test_slow_pictures_are_approached_by_doubling() -> None:
    sharpening = Sharpening()
    rate = 20 * SHARP_SECONDS / 512**2
    heights = []
    while (frame := sharpening.next(0.0, full=512, aspect=1.0)) is not None:
        heights.append(frame.height)
        drawn(sharpening, frame, seconds_per_pixel=rate)
    assert heights == [128, 256, 512]


def test_what_changes_during_a_frame_is_drawn_after_it() -> None:
    sharpening = Sharpening()
    frame = sharpening.next(0.0, full=100, aspect=1.0)
    assert frame is not None
    sharpening.started()
    sharpening.changed()
    sharpening.drew(NextFrame(100, 0.0), size=FrameSize(100, 100), seconds=0.01)
    again = sharpening.next(5.0, full=100, aspect=1.0)
    assert again is not None
    assert again.wait == 0


def test_a_higher_resolution_needs_another_frame() -> None:
    sharpening = Sharpening()
    sharpening.started()
    sharpening.drew(NextFrame(100, 0.0), size=FrameSize(100, 100), seconds=0.01)
    assert sharpening.next(0.0, full=100, aspect=1.0) is None
    assert sharpening.next(0.0, full=150, aspect=1.0) is not None
