import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Distortion, Lens
from latentfields.scenes.readers.undistort import blank_border, distort, distorted_pixels, undistort

LENS = Lens(width=40, height=30, fx=35.0, fy=32.0, cx=19.0, cy=15.5)
SOURCE = Path("lens")


def test_radial_distortion_in_closed_form() -> None:
    x, y = 0.3, -0.4  # r = 0.5
    distortion = Distortion(k1=0.1, k2=-0.2, k3=0.4, k4=0.8)
    factor = 1 + 0.1 / 4 - 0.2 / 16 + 0.4 / 64 + 0.8 / 256
    moved = distort(torch.tensor([x, y]), distortion)
    torch.testing.assert_close(moved, torch.tensor([x * factor, y * factor]))


def test_tangential_distortion_in_closed_form() -> None:
    x, y, r2 = 0.3, -0.4, 0.25
    moved = distort(torch.tensor([x, y]), Distortion(p1=0.05, p2=0.02))
    expected_x = x + 2 * 0.05 * x * y + 0.02 * (r2 + 2 * x * x)
    expected_y = y + 0.05 * (r2 + 2 * y * y) + 2 * 0.02 * x * y
    torch.testing.assert_close(moved, torch.tensor([expected_x, expected_y]))


@settings(deadline=None, max_examples=20)
@given(
    k1=st.floats(-0.3, -0.01),
    k2=st.floats(0, 0.05),
    p1=st.floats(-0.002, 0.002),
    p2=st.floats(-0.002, 0.002),
)
def test_linear_ramps_are_sampled_exactly(k1: float, k2: float, p1: float, p2: float) -> None:
    """A stored picture whose values are its pixel positions must come out as the distorted positions."""
    lens = replace(LENS, distortion=Distortion(k1=k1, k2=k2, p1=p1, p2=p2))
    columns, rows = torch.arange(40) + 0.5, torch.arange(30) + 0.5
    ramp = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    sampled = undistort(ramp[None], lens)[0]
    stored = distorted_pixels(lens).permute(2, 0, 1)
    inside = (stored[0] > 0.5) & (stored[0] < 39.5) & (stored[1] > 0.5) & (stored[1] < 29.5)
    assert inside.float().mean() > 0.8
    torch.testing.assert_close(sampled[:, inside], stored[:, inside], atol=1e-4, rtol=0)


def test_a_pinhole_is_left_alone() -> None:
    picture = torch.rand(2, 4, 30, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(undistort(picture, LENS), picture, atol=1e-4, rtol=0)
    assert blank_border(LENS, source=SOURCE) == 0


def test_barrel_distortion_leaves_no_blank_border() -> None:
    assert blank_border(replace(LENS, distortion=Distortion(k1=-0.1)), source=SOURCE) == 0


@pytest.mark.parametrize("k1", [0.06, 0.1, 0.2])
def test_pincushion_border_is_the_smallest_without_blank_pixels(k1: float) -> None:
    lens = replace(LENS, distortion=Distortion(k1=k1))
    border = blank_border(lens, source=SOURCE)
    x, y = distorted_pixels(lens).unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x <= 40) & (y <= 30)
    assert border > 0
    assert inside[border:-border, border:-border].all()
    wider = inside[border - 1 : 30 - border + 1, border - 1 : 40 - border + 1]
    assert not wider.all()


def test_folded_pixels_count_as_blank() -> None:
    """Beyond r = 1 / sqrt(3 |k1|) a barrel polynomial turns back and shows the picture a second time."""
    k1 = -1.2
    lens = Lens(width=100, height=100, fx=80.0, fy=80.0, cx=50.0, cy=50.0, distortion=Distortion(k1=k1))
    border = blank_border(lens, source=SOURCE)
    fold = 80 / math.sqrt(3 * abs(k1))
    corner = math.sqrt(2) * (50 - border)
    assert border > 0
    assert corner < fold + 2


def test_lens_without_a_usable_picture() -> None:
    with pytest.raises(InputError, match="lens: its lens distortion leaves no usable picture"):
        blank_border(replace(LENS, distortion=Distortion(k1=8.0)), source=SOURCE)
