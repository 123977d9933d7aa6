"""Depth maps that frames name, as the writer of rendered scenes leaves them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.scene_files import (
    CENTER,
    RADIUS,
    edit_json,
    ring_cameras,
    save_picture,
    sphere_hit,
    sphere_views,
    write_blender,
)
from latentfields.errors import InputError
from latentfields.scenes import Scene, load_scene

UNIT = 1e-4
FILE = "transforms_train.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A NeRF-synthetic folder of a sphere with its z-depth in steps of UNIT."""
    cameras = ring_cameras(width=64, height=64)
    cameras = replace(
        cameras,
        focal=cameras.focal[:, :1].repeat(1, 2),
        principal=torch.full((12, 2), 32.0, dtype=torch.float64),
    )
    folder = write_blender(tmp_path, sphere_views(cameras), parts={"train": slice(0, 12)})
    flat = cameras.to(torch.float32)
    along = (flat.rays().directions * flat.forward[:, None, None]).sum(-1)
    depth = sphere_hit(cameras) * along
    steps = torch.where(depth.isfinite(), depth / UNIT, 0.0).round().numpy().astype(np.uint16)
    value = json.loads((folder / FILE).read_text())
    for index, frame in enumerate(value["frames"]):
        frame["depth_file_path"] = f"./depth/{index}.png"
        save_picture(folder / frame["depth_file_path"], steps[index])
    (folder / FILE).write_text(json.dumps({**value, "depth_unit_scale_factor": UNIT}))
    return folder


def distance_to_center(scene: Scene) -> torch.Tensor:
    """Distance of every seen point from the sphere's centre, in world units."""
    assert scene.depth is not None
    rays = scene.cameras.rays()
    depth = scene.depth[:, 0]
    seen = depth.isfinite()
    along = (rays.directions * scene.cameras.forward[:, None, None]).sum(-1)
    points = rays.origins[seen] + rays.directions[seen] * (depth / along)[seen][:, None]
    center = (scene.world_to_scene.float() @ torch.tensor([*CENTER, 1.0]))[:3]
    distances: torch.Tensor = (points - center).norm(dim=-1) / scene.world_to_scene[0, 0].float()
    return distances


def test_depth_lies_on_the_surface(folder: Path) -> None:
    scene = load_scene(folder)
    assert scene.depth is not None
    assert scene.alpha is not None
    assert scene.depth.shape == (12, 1, 64, 64)
    assert torch.equal(scene.depth.isfinite(), scene.alpha > 0)
    distance = distance_to_center(scene)
    # Rounding to steps, and float32.
    assert float((distance - RADIUS).abs().max()) < UNIT


def test_depth_is_undistorted_and_cropped_with_the_pictures(folder: Path) -> None:
    """The pictures are not distorted; with a lens claimed, both must be warped alike."""
    edit_json(folder / FILE, k1=0.6)
    scene = load_scene(folder)
    assert scene.size[0] < 64
    assert scene.depth is not None
    assert scene.alpha is not None
    assert scene.depth.shape[-2:] == scene.size
    # Nearest and linear sampling agree but for the outline.
    differs = scene.depth.isfinite() != (scene.alpha > 127)
    assert float(differs.float().mean()) < 0.02


def test_depth_is_left_out_where_pictures_shrink_or_a_map_is_missing(folder: Path) -> None:
    assert load_scene(folder, max_size=32).depth is None
    edit_json(folder / FILE, frame_depth_file_path=None)
    assert load_scene(folder).depth is None


def test_metres_are_in_millimetres_unless_stated(folder: Path) -> None:
    stated = load_scene(folder).depth
    edit_json(folder / FILE, depth_unit_scale_factor=None)
    default = load_scene(folder).depth
    assert stated is not None
    assert default is not None
    hit = stated.isfinite()
    torch.testing.assert_close(default[hit], 10 * stated[hit])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_depth_file_path": "none.png"}, r"frames\[0\]\.depth_file_path: there is no file"),
        (
            {"frame_depth_file_path": "../d.png"},
            r"frames\[0\]\.depth_file_path: .* leaves the data set's folder",
        ),
        ({"depth_unit_scale_factor": 0}, r"depth_unit_scale_factor: expected a positive number, got 0"),
        ({"depth_unit_scale_factor": float("nan")}, r"depth_unit_scale_factor: expected a finite number"),
        ({"frame_depth_file_path": "images/view_00.png"}, r"view_00\.png: expected a grey 16-bit PNG"),
    ],
)
def test_wrong_depth_fields(folder: Path, change: dict[str, object], message: str) -> None:
    edit_json(folder / FILE, **change)
    with pytest.raises(InputError, match=message):
        load_scene(folder)


def test_wrong_depth_files(folder: Path) -> None:
    file = folder / "depth" / "3.png"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"3\.png: "):
        load_scene(folder)
    damaged = bytearray(content)
    damaged[content.index(b"IDAT") : content.index(b"IDAT") + 4] = b"\xee\x05\x03`"
    file.write_bytes(damaged)
    with pytest.raises(InputError, match=r"3\.png: cannot be read as a picture"):
        load_scene(folder)
    save_picture(file, np.zeros((8, 9), np.uint16))
    with pytest.raises(InputError, match=r"3\.png: is 9x8, but images/view_03\.png is 64x64"):
        load_scene(folder)
