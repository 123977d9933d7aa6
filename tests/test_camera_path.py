"""Camera paths: interpolation, files, and films without a browser."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from latentfields.camera_path import (
    CameraPath,
    Keyframe,
    catmull_rom,
    keyframe_of,
    load_path,
    path_through,
    quaternions,
    rotation_matrices,
    save_path,
    slerp,
)
from latentfields.cameras import Cameras, look_at
from latentfields.cli.render import Render
from latentfields.errors import InputError
from latentfields.latent_nerf.run import Run
from latentfields.pages.pictures import to_pixels

seeds = st.integers(0, 2**32 - 1)


def random_quaternions(seed: int, count: int) -> Tensor:
    values = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


def random_path(seed: int, *, keyframes: int, frames: int = 30, closed: bool = False) -> CameraPath:
    generator = torch.Generator().manual_seed(seed)
    eyes = 2 * torch.randn(keyframes, 3, generator=generator) + torch.tensor([0.0, 0.0, 6.0])
    poses = look_at(eyes, torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))
    fovs = 0.4 + torch.rand(keyframes, generator=generator)
    made = tuple(keyframe_of(pose, fov=float(fov)) for pose, fov in zip(poses, fovs, strict=True))
    return CameraPath(made, frames=frames, closed=closed)


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_quaternions_and_matrices_are_inverse(seed: int) -> None:
    wxyz = random_quaternions(seed, 20)
    matrices = rotation_matrices(wxyz)
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3).expand(20, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(20), atol=1e-5, rtol=0)
    torch.testing.assert_close(quaternions(matrices), wxyz * wxyz[:, :1].sign(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("angle", [0.0, 1.0, math.pi - 1e-4, math.pi])
def test_rotations_about_the_axes(axis: int, angle: float) -> None:
    wxyz = torch.zeros(1, 4)
    wxyz[0, 0], wxyz[0, 1 + axis] = math.cos(angle / 2), math.sin(angle / 2)
    matrix = rotation_matrices(wxyz)[0]
    along, across = torch.eye(3)[axis], torch.eye(3)[(axis + 1) % 3]
    torch.testing.assert_close(matrix @ along, along)
    turned = math.cos(angle) * across + math.sin(angle) * torch.eye(3)[(axis + 2) % 3]
    torch.testing.assert_close(matrix @ across, turned, atol=1e-6, rtol=0)
    torch.testing.assert_close(rotation_matrices(quaternions(matrix[None]))[0], matrix, atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=30)
@given(seed=seeds, share=st.floats(0, 1))
def test_slerp_turns_at_constant_speed_along_the_shorter_arc(seed: int, share: float) -> None:
    start, end = random_quaternions(seed, 10), random_quaternions(seed + 1, 10)
    middle = slerp(start, end, torch.full((10, 1), share))

    def angle(a: Tensor, b: Tensor) -> Tensor:
        return (a * b).sum(-1).abs().double().clamp(max=1).acos()

    torch.testing.assert_close(middle.norm(dim=-1), torch.ones(10))
    whole = angle(start, end)
    torch.testing.assert_close(angle(start, middle), share * whole, atol=2e-3, rtol=0)
    torch.testing.assert_close(angle(middle, end), (1 - share) * whole, atol=2e-3, rtol=0)


def test_slerp_of_equal_rotations_stays() -> None:
    wxyz = random_quaternions(3, 5)
    torch.testing.assert_close(slerp(wxyz, wxyz, torch.full((5, 1), 0.3)), wxyz)
    torch.testing.assert_close(slerp(wxyz, -wxyz, torch.full((5, 1), 0.3)), wxyz)


def test_the_spline_reproduces_parabolas() -> None:
    # A uniform Catmull-Rom spline is exact for polynomials of degree two.
    def parabola(t: Tensor) -> Tensor:
        return torch.stack([t, 3 - 2 * t + 0.5 * t**2, -(t**2)], dim=-1)

    share = torch.linspace(0, 1, 9)
    before, start, end, after = (parabola(torch.full((9,), float(t))) for t in (-1, 0, 1, 2))
    torch.testing.assert_close(catmull_rom(before, start, end, after, share[:, None]), parabola(share))


@settings(deadline=None, max_examples=25)
@given(seed=seeds, keyframes=st.integers(1, 6), closed=st.booleans())
def test_a_path_passes_through_its_keyframes(seed: int, keyframes: int, closed: bool) -> None:
    path = random_path(seed, keyframes=keyframes, closed=closed)
    cameras = path.at(torch.arange(keyframes).float(), width=40, height=30)
    for index, keyframe in enumerate(path.keyframes):
        torch.testing.assert_close(cameras.centers[index], torch.tensor(keyframe.position))
        found = keyframe_of(cameras.camera_to_world[index], fov=keyframe.fov)
        assert abs(sum(a * b for a, b in zip(found.wxyz, keyframe.wxyz, strict=True))) > 1 - 1e-6
        half = 15 / float(cameras.focal[index, 1])
        assert math.isclose(2 * math.atan(half), keyframe.fov, rel_tol=1e-5)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, keyframes=st.integers(1, 5), frames=st.integers(1, 40), closed=st.booleans())
def test_all_cameras_are_rigid_and_smooth(seed: int, keyframes: int, frames: int, closed: bool) -> None:
    path = random_path(seed, keyframes=keyframes, frames=frames, closed=closed)
    cameras = path.cameras(width=40, height=30)
    assert len(cameras) == frames
    rotation = cameras.camera_to_world[:, :3, :3]
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3).expand(frames, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(cameras.centers[0], torch.tensor(path.keyframes[0].position))
    if not closed and frames > 1:
        torch.testing.assert_close(
            cameras.centers[-1], torch.tensor(path.keyframes[-1].position), atol=1e-4, rtol=0
        )


def test_a_path_backwards_is_the_reversed_path() -> None:
    path = random_path(7, keyframes=4, frames=31)
    backwards = replace(path, keyframes=path.keyframes[::-1])
    forth = path.cameras(width=8, height=8).camera_to_world
    back = backwards.cameras(width=8, height=8).camera_to_world.flip(0)
    torch.testing.assert_close(forth, back, atol=1e-4, rtol=0)


def test_a_closed_path_repeats_without_a_jump() -> None:
    path = random_path(5, keyframes=4, frames=200, closed=True)
    centers = path.cameras(width=8, height=8).centers
    steps = (centers.roll(-1, dims=0) - centers).norm(dim=-1)
    second = (centers.roll(-1, dims=0) - 2 * centers + centers.roll(1, dims=0)).norm(dim=-1)
    assert second[[0, -1]].max() <= 2 * second.median() + 0.1 * steps.max()


@settings(deadline=None, max_examples=20)
@given(seed=seeds, keyframes=st.integers(1, 5), closed=st.booleans())
def test_files_keep_paths(seed: int, keyframes: int, closed: bool, tmp_path_factory: Any) -> None:
    path = random_path(seed, keyframes=keyframes, closed=closed)
    file = tmp_path_factory.mktemp("path") / "path.json"
    save_path(file, path)
    assert load_path(file) == path


GOOD = CameraPath((Keyframe((0.0, 0.0, 3.0), (1.0, 0.0, 0.0, 0.0), 0.8),), frames=3)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"keyframes": []}, "field 'keyframes' is empty; expected at least one"),
        ({"frames": 0}, "field 'frames' is 0; expected 1 to 100000"),
        ({"fps": 0}, "field 'fps' is 0; expected 1 to 1000"),
        ({"speed": 1}, "unknown field 'speed'"),
        ({"closed": 1}, "field 'closed' is 1; expected bool"),
        ({"keyframes": [{"position": [0, 0], "wxyz": [1, 0, 0, 0], "fov": 1}]}, r"keyframes\.position"),
        (
            {"keyframes": [{"position": [0, 0, 0], "wxyz": [1, 1, 0, 0], "fov": 1}]},
            r"wxyz' has length 1\.414",
        ),
        (
            {"keyframes": [{"position": [0, 0, 0], "wxyz": [1, 0, 0, 0], "fov": 4}]},
            r"fov' is 4; expected radians",
        ),
        ({"keyframes": [{"position": [0, 0, 1e999], "wxyz": [1, 0, 0, 0], "fov": 1}]}, "not finite"),
    ],
)
def test_bad_files_get_one_line(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    file = tmp_path / "path.json"
    save_path(file, GOOD)
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(InputError, match=problem) as caught:
        load_path(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        load_path(tmp_path / "none.json")


def test_films_of_a_path_need_no_browser_and_no_scene(latent_run: Path, tmp_path: Path) -> None:
    run = Run.load(latent_run)
    path = replace(random_path(1, keyframes=2), frames=3, fps=12)
    save_path(tmp_path / "path.json", path)
    Render(run_folder=latent_run, path=tmp_path / "path.json", out=tmp_path / "film.mp4").run()
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert len([*film.decode(video=0)]) == 3
        assert film.streams.video[0].average_rate == 12
    Render(run_folder=latent_run, path=tmp_path / "path.json", out=tmp_path / "pictures").run()
    files = sorted((tmp_path / "pictures").iterdir())
    assert [file.name for file in files] == ["path_0000.png", "path_0001.png", "path_0002.png"]
    images = to_pixels(run.render(path.cameras(width=run.frame.width, height=run.frame.height)))
    for file, expected in zip(files, images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), expected)


def arc(count: int, *, share: float = 0.5) -> Cameras:
    """Cameras on a part of a circle of radius 2 that look outwards, through walls if it were an object."""
    angle = torch.arange(count) * (2 * math.pi * share / count)
    eye = 2 * torch.stack([angle.cos(), angle.sin(), torch.zeros(count)], dim=1)
    up = torch.tensor([0.0, 0.0, 1.0])
    poses = torch.cat([look_at(point[None], 2 * point, up) for point in eye])
    return Cameras(poses, torch.full((count, 2), 40.0), torch.full((count, 2), 16.0), 32, 32)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_path_through_a_capture_stays_where_its_cameras_were(shuffled: bool) -> None:
    cameras = arc(40)
    if shuffled:
        cameras = cameras[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    path = path_through(cameras, frames=60)
    assert not path.closed
    seen = path.cameras(width=32, height=32)
    radius = seen.centers.norm(dim=-1)
    assert radius.min() > 1.9
    assert radius.max() < 2.01
    # They look where the cameras look: outwards.
    outwards = torch.nn.functional.normalize(seen.centers, dim=-1)
    assert (seen.forward * outwards).sum(-1).min() > 0.98
    torch.testing.assert_close(seen.focal, torch.full((60, 2), 40.0), atol=1e-3, rtol=0)
    steps = seen.centers.diff(dim=0).norm(dim=-1)
    assert steps.max() < 2 * steps.median()


def test_a_capture_all_around_gives_a_closed_path() -> None:
    assert path_through(arc(36, share=1.0), frames=10).closed


def test_a_path_through_one_camera_stands_still() -> None:
    seen = path_through(arc(1), frames=4).cameras(width=32, height=32)
    torch.testing.assert_close(seen.centers, torch.tensor([2.0, 0.0, 0.0]).expand(4, 3))
