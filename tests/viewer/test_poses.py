"""The browser's cameras and ours see the same."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from viser import transforms

from helpers.tiny import SIZE, sphere_cameras
from latentfields.viewer.poses import BrowserCamera, browser_rotation, orbit_target, vertical_fov
from latentfields.viewer.resolution import FrameSize


def test_quaternions_are_those_of_the_browser() -> None:
    for pose in sphere_cameras(6).camera_to_world:
        theirs = transforms.SO3(torch.tensor(browser_rotation(pose)).numpy()).as_matrix()
        # OpenCV axes: right, down, forward.
        ours = torch.stack([pose[:3, 0], -pose[:3, 1], -pose[:3, 2]], dim=1)
        torch.testing.assert_close(torch.from_numpy(theirs), ours, atol=1e-5, rtol=0, check_dtype=False)


@settings(deadline=None, max_examples=20)
@given(width=st.integers(4, 300), height=st.integers(4, 300), aspect=st.floats(0.3, 3))
def test_a_picture_of_any_size_fills_the_canvas(width: int, height: int, aspect: float) -> None:
    pose = sphere_cameras(3).camera_to_world[1]
    x, y, z = pose[:3, 3].tolist()
    seen = BrowserCamera(browser_rotation(pose), (x, y, z), 0.7, aspect)
    torch.testing.assert_close(seen.camera_to_world, pose, atol=1e-5, rtol=0)
    camera = seen.camera(FrameSize(width, height))
    # The middle of the canvas' right border and of its upper border, one unit in front of the camera.
    up = math.tan(0.35)
    local = torch.tensor([[aspect * up, 0.0, -1.0], [0.0, up, -1.0]])
    points = local @ pose[:3, :3].T + pose[:3, 3]
    positions, _ = camera.project(points)
    expected = torch.tensor([[width, height / 2], [width / 2, 0.0]])
    torch.testing.assert_close(positions[0], expected, atol=1e-3, rtol=1e-4)


def test_directions_of_a_scene() -> None:
    cameras = sphere_cameras(30)
    assert math.isclose(vertical_fov(cameras), 2 * math.atan(SIZE / 2 / (1.6 * SIZE)), rel_tol=1e-6)
    assert float(cameras.mean_up @ torch.tensor([0.0, 0.0, 1.0])) > 0.98
    torch.testing.assert_close(orbit_target(cameras.camera_to_world[0]), torch.zeros(3), atol=1e-5, rtol=0)
