"""Files that are wrong, by accident or on purpose: one line that names the file and the field."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.scene_files import (
    edit_json,
    ring_cameras,
    save_picture,
    sphere_points,
    sphere_views,
    write_colmap_binary,
    write_igae,
    write_nerfstudio,
)
from latentfields.errors import InputError
from latentfields.scenes import load_scene
from latentfields.scenes.readers.capture import rigid_pose

VIEWS = sphere_views(ring_cameras(6, width=16, height=12, focal=16.0))
POSE = VIEWS.poses[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_nerfstudio(tmp_path / "ball", VIEWS)


def changed(row: int, column: int, value: object) -> list[list[object]]:
    matrix: list[list[object]] = POSE.tolist()
    matrix[row][column] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (changed(0, 3, float("nan")), "expected finite numbers"),
        (changed(0, 0, float("inf")), "expected finite numbers"),
        (changed(2, 3, 1e12), "expected a position below"),
        (changed(3, 3, 2.0), "expected the last row 0 0 0 1"),
        (changed(1, 1, "1"), "expected a matrix of numbers"),
        (changed(1, 1, None), "expected a matrix of numbers"),
        (changed(1, 1, True), "expected a matrix of numbers"),
        (changed(1, 1, 10**400), "expected finite numbers"),
        (changed(1, 1, 1e300), "expected a rigid pose, but its rotation is not orthonormal"),
        (
            (POSE @ np.diag([1, 1.01, 1, 1])).tolist()[:3],
            "expected a rigid pose, but its rotation is not ortho",
        ),
        (changed(0, 1, 0.9), "expected a rigid pose, but its rotation is not orthonormal"),
        ((POSE * 1e-10).tolist()[:3], "expected a rigid pose, but its rotation is not orthonormal"),
        ((POSE @ np.diag([1, 1, -1, 1])).tolist(), "expected a rigid pose, but its rotation mirrors"),
        (np.eye(3).tolist(), "expected a 4x4 matrix, got shape"),
        ([[1, 2], [3]], "expected a matrix of numbers"),
        ([], "expected a matrix of numbers"),
        ("eye", "expected a matrix of numbers, got 'eye'"),
        (None, "expected a matrix of numbers, got nothing"),
    ],
)
def test_impossible_poses(folder: Path, matrix: object, message: str) -> None:
    edit_json(folder / "transforms.json", frame_transform_matrix=matrix)
    with pytest.raises(InputError, match=rf"transforms\.json: frames\[0\]\.transform_matrix: {message}"):
        load_scene(folder)


def test_rounded_poses_are_made_rigid() -> None:
    rounded = np.round(POSE, 4)
    pose = rigid_pose(Path("file"), "pose", rounded)
    np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-14)
    np.testing.assert_allclose(pose, POSE, atol=1e-4)


@pytest.mark.parametrize(
    "value", [0, -5.0, float("nan"), float("inf"), 1e-9, 1e12, "60", True, [60], 10**400]
)
def test_impossible_focal_lengths(folder: Path, value: object) -> None:
    edit_json(folder / "transforms.json", frame_fl_x=value)
    with pytest.raises(InputError, match=r"transforms\.json: frames\[0\]\.?:? ?fl_x: expected a"):
        load_scene(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_cx": float("nan")}, r"frames\[0\]\.cx: expected a finite number"),
        ({"frame_cy": 1e9}, r"frames\[0\]: cy: expected a principal point"),
        ({"frame_k1": "none"}, r"frames\[0\]\.k1: expected a number, got 'none'"),
        ({"frame_k1": 1e30}, r"frames\[0\]: expected small finite distortion"),
        ({"frame_w": 17}, r"frames\[0\]\.w, h: expected the size of view_00\.png, 16x12, got 17x12"),
        ({"frame_h": 11}, r"frames\[0\]\.w, h: expected the size of view_00\.png, 16x12, got 16x11"),
        ({"frame_w": 12, "frame_h": 16}, r"frames\[0\]\.w, h: .*16x12, got 12x16; it was turned after"),
        ({"frame_h": 12.5}, r"frames\[0\]\.h: expected a whole number, got 12\.5"),
        ({"frame_file_path": ""}, r"frames\[0\]\.file_path: expected a text"),
        ({"frame_file_path": 7}, r"frames\[0\]\.file_path: expected a text, got 7"),
        ({"frame_file_path": "images/\0.png"}, r"frames\[0\]\.file_path: .* is not a usable file name"),
        ({"frame_mask_path": "images/none.png"}, r"frames\[0\]\.mask_path: there is no file"),
        ({"frames": []}, "frames: expected a list with at least one entry"),
        ({"frames": {}}, "frames: expected a list with at least one entry"),
        ({"frames": None}, "frames: expected a list with at least one entry, got nothing"),
        ({"frames": [5]}, r"frames\[0\]: expected an object, got 5"),
        ({"camera_model": 3}, r"frames\[0\]\.camera_model: expected a text"),
        ({"is_fisheye": "yes"}, r"frames\[0\]\.is_fisheye: expected true or false"),
    ],
)
def test_wrong_fields(folder: Path, change: dict[str, object], message: str) -> None:
    edit_json(folder / "transforms.json", **change)
    with pytest.raises(InputError, match=rf"transforms\.json: {message}") as caught:
        load_scene(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "nul", '{"frames": [', "[" * 100_000, "\ufeff[]"])
def test_malformed_json(folder: Path, text: str) -> None:
    (folder / "transforms.json").write_text(text, encoding="utf-8")
    with pytest.raises(
        InputError, match=r"transforms\.json: (is not valid JSON|expected a JSON object)"
    ) as caught:
        load_scene(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["images/none.png", "images", "a" * 5000])
def test_a_missing_picture_is_left_out_and_counted(folder: Path, name: str) -> None:
    edit_json(folder / "transforms.json", frame_file_path=name)
    with pytest.warns(
        UserWarning,
        match=r"(1 of 6 pictures are missing and left out, the first: frames\[0\]|takes their place)",
    ) as said:
        scene = load_scene(folder)
    # The first of six was the one test view.
    assert ["missing and left out" in str(one.message) for one in said] == [True, False]
    assert "the first that is there takes their place" in str(said[1].message)
    assert scene.image_names == VIEWS.names[1:]
    assert scene.indices("test").tolist() == [0]
    assert sorted(index for part in scene.splits.values() for index in part.tolist()) == list(range(5))


def test_more_than_half_of_the_pictures_missing(folder: Path) -> None:
    for index in range(1, 4):
        (folder / VIEWS.names[index]).unlink()
    with pytest.warns(UserWarning, match="3 of 6 pictures are missing"):
        assert len(load_scene(folder)) == 3
    (folder / VIEWS.names[4]).unlink()
    with pytest.raises(
        InputError,
        match=r"transforms\.json: frames\[1\]\.file_path: there is no file .*; 4 of 6 pictures are missing",
    ):
        load_scene(folder)


def test_a_byte_order_mark_is_passed_over(folder: Path) -> None:
    file = folder / "transforms.json"
    before = load_scene(folder)
    file.write_text("\ufeff" + file.read_text().replace("\n", "\r\n"), encoding="utf-8")
    assert torch.equal(load_scene(folder).cameras.camera_to_world, before.cameras.camera_to_world)


def test_backslashes_are_separators(folder: Path) -> None:
    edit_json(folder / "transforms.json", frame_file_path="images\\view_00.png")
    assert load_scene(folder).image_names == VIEWS.names
    edit_json(folder / "transforms.json", frame_file_path="..\\secret.png")
    save_picture(folder.parent / "secret.png", VIEWS.rgba[0])
    with pytest.raises(InputError, match="leaves the data set's folder"):
        load_scene(folder)


@pytest.mark.parametrize("scale", [0.01, 1.01, 250.0])
def test_scaled_rotations_are_made_rigid_and_said_once(folder: Path, scale: float) -> None:
    file = folder / "transforms.json"
    before = load_scene(folder)
    value = json.loads(file.read_text())
    for frame in value["frames"]:
        matrix = np.array(frame["transform_matrix"])
        matrix[:3, :3] *= scale
        frame["transform_matrix"] = matrix.tolist()
    file.write_text(json.dumps(value))
    with pytest.warns(
        UserWarning, match=rf"rotations are scaled by {scale:.4g}; the scale is removed"
    ) as said:
        scene = load_scene(folder)
    assert len(said) == 1
    torch.testing.assert_close(
        scene.cameras.camera_to_world, before.cameras.camera_to_world, atol=1e-6, rtol=0
    )


def test_one_view_cannot_be_split(folder: Path) -> None:
    file = folder / "transforms.json"
    value = json.loads(file.read_text())
    value["frames"] = value["frames"][:1]
    file.write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"transforms\.json: expected at least 2 images to split"):
        load_scene(folder)


@pytest.mark.parametrize("absolute", [False, True])
def test_paths_may_not_leave_the_folder(folder: Path, absolute: bool) -> None:
    outside = folder.parent / "secret.png"
    save_picture(outside, VIEWS.rgba[0])
    edit_json(folder / "transforms.json", frame_file_path=str(outside) if absolute else "../secret.png")
    with pytest.raises(
        InputError, match=r"frames\[0\]\.file_path: .*secret\.png' leaves the data set's folder"
    ):
        load_scene(folder)


def test_of_a_long_path_the_end_is_named(folder: Path) -> None:
    outside = f"../{'long/' * 40}secret.png"
    edit_json(folder / "transforms.json", frame_file_path=outside)
    with pytest.raises(InputError, match=r"'\.\.\.\S{67}secret\.png' leaves the data set's folder"):
        load_scene(folder)


def test_links_may_not_leave_the_folder(folder: Path) -> None:
    outside = folder.parent / "secret.png"
    save_picture(outside, VIEWS.rgba[0])
    (folder / "images" / "view_00.png").unlink()
    (folder / "images" / "view_00.png").symlink_to(outside)
    with pytest.raises(
        InputError,
        match=r"view_00\.png' leaves the data set's folder through a link, which only `follow_links`",
    ):
        load_scene(folder)
    scene = load_scene(folder, follow_links=True)
    assert scene.image_names == VIEWS.names
    assert scene.reading.follow_links
    edit_json(folder / "transforms.json", frame_file_path="../secret.png")
    with pytest.raises(InputError, match=r"secret\.png' leaves the data set's folder$"):
        load_scene(folder, follow_links=True)


def test_data_sets_of_links(tmp_path: Path) -> None:
    """As in the caches of Hugging Face and DVC: every file is a link to a store."""
    stored = write_colmap_binary(tmp_path / "store", VIEWS, sphere_points())
    for file in [path for path in stored.rglob("*") if path.is_file()]:
        link = tmp_path / "linked" / file.relative_to(stored)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    with pytest.raises(InputError, match="`follow_links`"):
        load_scene(tmp_path / "linked")
    scene = load_scene(tmp_path / "linked", follow_links=True)
    assert torch.equal(scene.pixels, load_scene(stored).pixels)
    assert scene.image_names == VIEWS.names


def test_links_inside_the_folder_are_followed(folder: Path) -> None:
    (folder / "images").rename(folder / "stored")
    (folder / "images").symlink_to(folder / "stored")
    assert load_scene(folder).image_names[0] == "stored/view_00.png"


def test_a_link_to_itself(folder: Path) -> None:
    (folder / "images" / "view_00.png").unlink()
    (folder / "images" / "view_00.png").symlink_to(folder / "images" / "view_00.png")
    with pytest.raises(InputError, match="view_00"):
        load_scene(folder)


def loads_or_is_named(folder: Path) -> None:
    try:
        scene = load_scene(folder)
    except InputError as error:
        message = str(error)
    else:
        message = ""
        assert scene.cameras.camera_to_world.isfinite().all()
        assert scene.points is None or scene.points.isfinite().all()
        assert 0 < scene.near < scene.far < float("inf")
    assert "\n" not in message


json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=5),
    st.lists(st.floats(-2, 2), max_size=3),
    st.just({}),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    field=st.sampled_from(
        ["file_path", "transform_matrix", "fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "p2"]
    ),
    value=json_values,
)
def test_any_value_in_any_field_loads_or_is_named(tmp_path: Path, field: str, value: object) -> None:
    folder = write_igae(tmp_path, VIEWS)
    edit_json(folder / "transforms_opencv.json", **{f"frame_{field}": value})
    loads_or_is_named(folder)


@pytest.mark.slow
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["cameras", "images", "points3D"]),
    position=st.floats(0, 1, exclude_max=True),
    data=st.binary(min_size=1, max_size=8),
    cut=st.booleans(),
)
def test_any_damage_to_a_colmap_model_loads_or_is_named(
    tmp_path: Path, name: str, position: float, data: bytes, cut: bool
) -> None:
    folder = write_colmap_binary(tmp_path, VIEWS, sphere_points(5))
    file = folder / "sparse" / "0" / f"{name}.bin"
    content = bytearray(file.read_bytes())
    offset = int(position * len(content))
    content[offset : offset + len(data)] = data
    file.write_bytes(content[:offset] if cut else content)
    loads_or_is_named(folder)
