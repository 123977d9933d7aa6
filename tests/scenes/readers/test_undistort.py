import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Distortion, Lens
from latentfields.scenes.readers.colmap.model import PARAMETERS, camera_of_model, distortion_kind
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


POSITIONS = torch.tensor(
    [[0.3, -0.4], [0.0, 0.0], [-0.05, 0.02], [0.6, 0.1], [1e-9, 0.0]], dtype=torch.float64
)


def test_fisheyes_in_closed_form() -> None:
    theta = math.atan(0.5)
    k1, k2, k3, k4 = 0.1, -0.2, 0.4, 0.8
    bent = theta * (1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6 + k4 * theta**8)
    moved = distort(POSITIONS[:2], Distortion(k1=k1, k2=k2, k3=k3, k4=k4, model="fisheye"))
    expected = torch.tensor([[0.3, -0.4], [0.0, 0.0]], dtype=torch.float64) * bent / 0.5
    torch.testing.assert_close(moved, expected)


def test_the_rational_model_in_closed_form() -> None:
    lens = Distortion(k1=0.1, k2=0.2, k3=0.3, k4=0.4, k5=0.5, k6=0.6, model="rational")
    r2 = 0.25
    factor = (1 + 0.1 * r2 + 0.2 * r2**2 + 0.3 * r2**3) / (1 + 0.4 * r2 + 0.5 * r2**2 + 0.6 * r2**3)
    torch.testing.assert_close(distort(POSITIONS[:1], lens), POSITIONS[:1] * factor)


def test_the_field_of_view_model_in_closed_form() -> None:
    omega = 0.9
    factor = math.atan(2 * 0.5 * math.tan(omega / 2)) / (omega * 0.5)
    torch.testing.assert_close(
        distort(POSITIONS[:1], Distortion(omega=omega, model="fov")), POSITIONS[:1] * factor
    )
    assert torch.equal(distort(POSITIONS, Distortion(model="fov")), POSITIONS)


COEFFICIENTS = {
    "SIMPLE_RADIAL": [0.1],
    "RADIAL": [0.1, -0.05],
    "OPENCV": [0.1, -0.05, 0.002, -0.003],
    "OPENCV_FISHEYE": [0.1, -0.05, 0.02, -0.01],
    "FULL_OPENCV": [0.1, -0.05, 0.002, -0.003, 0.02, 0.1, 0.05, 0.01],
    "FOV": [0.9],
    "SIMPLE_RADIAL_FISHEYE": [0.1],
    "RADIAL_FISHEYE": [0.1, -0.05],
    "THIN_PRISM_FISHEYE": [0.1, -0.05, 0.002, -0.003, 0.02, -0.01, 0.004, -0.005],
}


@pytest.mark.parametrize("model", COEFFICIENTS)
def test_lenses_are_those_of_colmap(model: str) -> None:
    """The positions that COLMAP's own code gives for the same parameters."""
    pycolmap = pytest.importorskip("pycolmap")
    single = PARAMETERS[model][0] == "f"
    intrinsics = [200.0, 160.0, 120.0] if single else [200.0, 210.0, 160.0, 120.0]
    parameters = [*intrinsics, *COEFFICIENTS[model]]
    camera = pycolmap.Camera(model=model, width=320, height=240, params=parameters)
    points = torch.cat([POSITIONS, torch.ones(len(POSITIONS), 1, dtype=torch.float64)], dim=1)
    expected = torch.from_numpy(np.stack([camera.img_from_cam(point) for point in points.numpy()]))
    values = camera_of_model(SOURCE, 1, model, 320, 240, parameters).parameters
    named = {k: v for k, v in values.items() if k not in ("f", "fx", "fy", "cx", "cy")}
    moved = distort(POSITIONS, Distortion(**named, model=distortion_kind(model)))
    focal = torch.tensor([values.get("fx", values.get("f")), values.get("fy", values.get("f"))])
    found = moved * focal.double() + torch.tensor([160.0, 120.0], dtype=torch.float64)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_borders_of_large_pictures_are_looked_at_coarsely() -> None:
    distortion = Distortion(k1=0.08)
    small = Lens(width=600, height=400, fx=500.0, fy=500.0, cx=300.0, cy=200.0, distortion=distortion)
    large = small.resized(width=6000, height=4000)
    border, coarse = blank_border(small, source=SOURCE), blank_border(large, source=SOURCE)
    assert 10 * (border - 1) <= coarse <= 10 * border + 6


@settings(deadline=None, max_examples=15)
@given(k1=st.floats(0.02, 0.3), k2=st.floats(-0.2, 0.1), p2=st.floats(-0.01, 0.01), shift=st.floats(-9, 9))
def test_the_border_is_found_as_if_every_pixel_were_looked_at(
    k1: float, k2: float, p2: float, shift: float
) -> None:
    lens = Lens(
        width=230,
        height=140,
        fx=160.0,
        fy=170.0,
        cx=115.0 + shift,
        cy=70.0 - shift,
        distortion=Distortion(k1=k1, k2=k2, p2=p2),
    )
    x, y = distorted_pixels(lens).unbind(-1)
    steps = torch.gradient(distorted_pixels(lens), dim=(0, 1))
    folded = torch.linalg.det(torch.stack(steps, dim=-1)) >= 0
    blank = (x < 0) | (y < 0) | (x > 230) | (y > 140) | folded
    rows, columns = blank.nonzero(as_tuple=True)
    inside = torch.stack([columns, rows, 229 - columns, 139 - rows]).amin(dim=0) + 1
    expected = int(inside.max()) if len(rows) else 0
    if 4 * expected > 140:
        with pytest.raises(InputError, match="no usable picture"):
            blank_border(lens, source=SOURCE)
    else:
        assert blank_border(lens, source=SOURCE) == expected
