import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.mesh_samples import cube, glowing, mesh_of, quad, sphere, world_points
from latentfields.errors import InputError
from latentfields.files import is_temporary
from latentfields.scenes.depth_files import depth_unit, read_depth, write_depth
from latentfields.scenes.load import load_scene
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.meshes import Material
from latentfields.scenes.objects.object_scenes import framed, object_cameras, render_object_scene
from latentfields.scenes.objects.rendering import MeshRenderer

SMALL = RenderConfig(views=10, size=32, samples=2, test_fraction=0.2, val_fraction=0.1)


def test_the_folder_has_the_nerf_synthetic_layout(tmp_path: Path) -> None:
    summary = render_object_scene(cube(1.0), tmp_path / "cube", options=SMALL, seed=2)
    assert summary.views == 10
    assert 0.1 < summary.coverage < 0.6
    names = sorted(path.name for path in (tmp_path / "cube").iterdir())
    assert names == [
        "test",
        "train",
        "transforms_test.json",
        "transforms_train.json",
        "transforms_val.json",
        "val",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["cube"]
    contents = json.loads((tmp_path / "cube" / "transforms_train.json").read_text())
    assert contents["camera_angle_x"] == pytest.approx(math.radians(SMALL.field_of_view))
    assert (contents["w"], contents["h"]) == (32, 32)
    assert [frame["file_path"] for frame in contents["frames"]] == [f"./train/r_{k}" for k in range(7)]
    with Image.open(tmp_path / "cube" / "train" / "r_0.png") as image:
        assert (image.mode, image.size) == ("RGBA", (32, 32))


def test_a_written_scene_reads_back_as_it_was_rendered(tmp_path: Path) -> None:
    mesh = replace(sphere(3.0), materials=(Material(color=(0.8, 0.3, 0.1, 1.0)),))
    render_object_scene(mesh, tmp_path / "ball", options=SMALL, seed=7)
    scene = load_scene(tmp_path / "ball")
    cameras = object_cameras(SMALL, seed=7)
    views = list(MeshRenderer(framed(mesh, options=SMALL)).render(cameras, samples=SMALL.samples))
    assert {name: len(index) for name, index in scene.splits.items()} == {"train": 7, "val": 1, "test": 2}
    for index, view in enumerate(views):
        np.testing.assert_array_equal(scene.pixels[index].permute(1, 2, 0), view.rgba[..., :3])
        assert scene.alpha is not None
        np.testing.assert_array_equal(scene.alpha[index, 0], view.rgba[..., 3])
    world = cameras.transformed(scene.world_to_scene)
    np.testing.assert_allclose(scene.cameras.camera_to_world, world.camera_to_world, atol=1e-5)
    np.testing.assert_allclose(scene.cameras.focal, cameras.focal, rtol=1e-6)


def test_stored_depth_puts_pixels_on_the_surface(tmp_path: Path) -> None:
    render_object_scene(cube(1.0), tmp_path / "cube", options=SMALL, seed=2)
    contents = json.loads((tmp_path / "cube" / "transforms_test.json").read_text())
    cameras = object_cameras(SMALL, seed=2)[8:]
    half = framed(cube(1.0), options=SMALL).vertices.max()
    for index, frame in enumerate(contents["frames"]):
        np.testing.assert_allclose(frame["transform_matrix"], cameras.camera_to_world[index], atol=1e-7)
        unit = contents["depth_unit_scale_factor"]
        depth = read_depth(tmp_path / "cube" / frame["depth_file_path"], unit=unit)
        points = world_points(cameras[index : index + 1], depth)
        # One step of the file is 4e-5; half a pixel here is 1e-2.
        np.testing.assert_allclose(np.abs(points).max(axis=1), half, atol=5e-5)


def test_depth_files_round_to_half_a_step(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).uniform(0.5, 2.0, (5, 7)).astype(np.float32)
    depth[2, 3] = np.inf
    write_depth(tmp_path / "d.png", depth, unit=depth_unit(2.0))
    found = read_depth(tmp_path / "d.png", unit=depth_unit(2.0))
    assert np.isinf(found[2, 3])
    finite = np.isfinite(depth)
    assert np.isfinite(found[finite]).all()
    assert np.abs(found[finite] - depth[finite]).max() <= 0.51 * depth_unit(2.0)


def test_depth_files_must_be_grey_16_bit(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    (tmp_path / "noise.png").write_bytes(b"noise")
    for name in ("rgb.png", "noise.png", "absent.png"):
        with pytest.raises(InputError, match=name):
            read_depth(tmp_path / name, unit=1.0)


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        render_object_scene(cube(1.0), tmp_path / name, options=SMALL, seed=1)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 23
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_an_existing_scene_is_kept_unless_overwriting(tmp_path: Path) -> None:
    folder = tmp_path / "scene"
    render_object_scene(cube(1.0), folder, options=SMALL, seed=1)
    before = (folder / "transforms_train.json").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        render_object_scene(cube(1.0), folder, options=SMALL, seed=2)
    assert (folder / "transforms_train.json").read_bytes() == before
    render_object_scene(cube(1.0), folder, options=SMALL, seed=2, overwrite=True)
    assert (folder / "transforms_train.json").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'thesis\.txt', which is no part of a rendered scene"):
        render_object_scene(cube(1.0), folder, options=SMALL, overwrite=True)
    assert (folder / "thesis.txt").read_text() == "mine"
    (tmp_path / "scene").write_text("mine")
    with pytest.raises(InputError, match="found a file"):
        render_object_scene(cube(1.0), tmp_path / "scene", options=SMALL, overwrite=True)


def test_nothing_is_left_when_rendering_fails(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        render_object_scene(cube(1.0), tmp_path / "scene", options=SMALL, on_view=fail)
    assert list(tmp_path.iterdir()) == []


def test_what_is_half_rendered_is_known_as_such(tmp_path: Path) -> None:
    """So that what a killed process leaves is tidied away."""
    seen: list[bool] = []

    def look() -> None:
        seen.extend(is_temporary(path) for path in tmp_path.iterdir())

    render_object_scene(cube(1.0), tmp_path / "cube", options=SMALL, on_view=look)
    assert seen == [True] * SMALL.views


def test_an_object_that_hardly_shows_is_refused(tmp_path: Path) -> None:
    needle = mesh_of([[0, 0, -1], [0, 0, 1], [1e-4, 0, 0]], [[0, 1, 2]])
    with pytest.raises(InputError, match=r"sample: covers less than 0.5%"):
        render_object_scene(needle, tmp_path / "scene", options=SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_black_object_is_warned_about(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="sample: nearly all of the object is black"):
        render_object_scene(quad(Material(color=(0, 0, 0, 1))), tmp_path / "scene", options=SMALL)


def test_every_view_is_reported(tmp_path: Path) -> None:
    seen = []
    render_object_scene(
        quad(glowing((1, 1, 1))), tmp_path / "scene", options=SMALL, on_view=lambda: seen.append(1)
    )
    assert len(seen) == SMALL.views


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"views": 1}, "views"),
        ({"size": 4}, "size"),
        ({"test_fraction": 0.95}, "test_fraction"),
        ({"test_fraction": 0.6, "val_fraction": 0.6}, "test_fraction"),
        ({"val_fraction": -0.1}, "val_fraction"),
        ({"distance": 0.0}, "distance"),
        ({"distance": math.nan}, "distance"),
        ({"field_of_view": 180.0}, "field_of_view"),
        ({"min_elevation": 30.0, "max_elevation": 10.0}, "max_elevation"),
        ({"samples": 0}, "samples"),
    ],
)
def test_options_out_of_range(tmp_path: Path, change: dict[str, Any], option: str) -> None:
    with pytest.raises(InputError, match=f"^{option}: ") as caught:
        render_object_scene(cube(1.0), tmp_path / "scene", options=replace(SMALL, **change))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("views", [2, 3, 4, 10, 57, 100])
def test_split_sizes_add_up(views: int) -> None:
    sizes = RenderConfig(views=views).split_sizes()
    assert (
        sizes
        == {
            2: {"train": 1, "val": 0, "test": 1},
            3: {"train": 2, "val": 0, "test": 1},
            4: {"train": 3, "val": 0, "test": 1},
            10: {"train": 9, "val": 0, "test": 1},
            57: {"train": 48, "val": 3, "test": 6},
            100: {"train": 85, "val": 5, "test": 10},
        }[views]
    )
    assert sum(sizes.values()) == views
    assert sizes["train"] >= 1
    assert sizes["test"] >= 1
