import struct
from pathlib import Path

import numpy as np
import pytest

from helpers.scene_files import (
    SphereViews,
    colmap_pose,
    save_pictures,
    sphere_points,
    sphere_views,
    write_colmap_binary,
    write_colmap_text,
)
from latentfields.errors import InputError
from latentfields.scenes import load_scene
from latentfields.scenes.readers.capture import Distortion
from latentfields.scenes.readers.colmap.folder import read_colmap

VIEWS = sphere_views()
POINTS = sphere_points()


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    return write_colmap_binary(tmp_path / "ball", VIEWS, POINTS)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    return write_colmap_text(tmp_path / "ball", VIEWS, POINTS)


def patch(file: Path, offset: int, data: bytes) -> None:
    content = bytearray(file.read_bytes())
    content[offset : offset + len(data)] = data
    file.write_bytes(content)


@pytest.mark.parametrize("stored", ["binary", "text"])
def test_poses_points_and_colours(stored: str, request: pytest.FixtureRequest) -> None:
    capture = read_colmap(request.getfixturevalue(stored))
    assert [view.name for view in capture.views] == list(VIEWS.names)
    for view, pose in zip(capture.views, VIEWS.poses, strict=True):
        np.testing.assert_allclose(view.pose, pose, atol=1e-9)
    assert capture.points is not None
    np.testing.assert_allclose(capture.points, POINTS.positions)
    assert capture.point_colors is not None
    assert np.array_equal(capture.point_colors, POINTS.colors)


def test_points_project_into_the_silhouette(binary: Path) -> None:
    scene = load_scene(binary)
    assert scene.points is not None
    assert scene.alpha is not None
    positions, depth = scene.cameras.project(0.9 * scene.points)
    assert (depth > 0).all()
    for view in range(len(scene)):
        columns, rows = positions[view].floor().long().unbind(-1)
        assert (scene.alpha[view, 0, rows, columns] > 0).all()


def test_opaque_pictures_are_normalised_by_their_points(tmp_path: Path) -> None:
    views = SphereViews(VIEWS.cameras, np.ascontiguousarray(VIEWS.rgba[..., :3]), VIEWS.names)
    scene = load_scene(write_colmap_binary(tmp_path, views, POINTS))
    assert scene.alpha is None
    assert scene.points is not None
    assert 0.9 < float(scene.points.abs().max()) < 1.05
    distance = (scene.points[None] - scene.cameras.centers[:, None]).norm(dim=-1)
    assert 0.8 * float(distance.min()) < scene.near < 1.01 * float(distance.min())
    assert 0.99 * float(distance.max()) < scene.far < 1.2 * float(distance.max())


@pytest.mark.parametrize(
    ("model", "parameters", "focal", "distortion"),
    [
        (0, [60.0, 24.0, 20.0], (60, 60), Distortion()),
        (1, [60.0, 61.0, 24.0, 20.0], (60, 61), Distortion()),
        (2, [60.0, 24.0, 20.0, 0.1], (60, 60), Distortion(k1=0.1)),
        (3, [60.0, 24.0, 20.0, 0.1, -0.2], (60, 60), Distortion(k1=0.1, k2=-0.2)),
        (
            4,
            [60.0, 61.0, 24.0, 20.0, 0.1, -0.2, 0.01, 0.02],
            (60, 61),
            Distortion(k1=0.1, k2=-0.2, p1=0.01, p2=0.02),
        ),
    ],
)
def test_camera_models(
    tmp_path: Path,
    model: int,
    parameters: list[float],
    focal: tuple[float, float],
    distortion: Distortion,
) -> None:
    folder = write_colmap_binary(tmp_path, VIEWS, POINTS, model=model, parameters=parameters)
    lens = read_colmap(folder).views[0].lens
    assert (lens.fx, lens.fy) == focal
    assert (lens.cx, lens.cy) == (24, 20)
    assert lens.distortion == distortion


def test_fisheye_is_refused(binary: Path, text: Path) -> None:
    patch(binary / "sparse" / "0" / "cameras.bin", 12, struct.pack("<i", 5))
    with pytest.raises(
        InputError, match=r"cameras\.bin: camera 7: model number 5 is not supported; expected one of"
    ):
        read_colmap(binary)


def test_fisheye_in_text_is_refused(text: Path) -> None:
    file = text / "sparse" / "cameras.txt"
    file.write_text(file.read_text().replace("PINHOLE", "OPENCV_FISHEYE"))
    with pytest.raises(InputError, match=r"cameras\.txt: camera 7: model OPENCV_FISHEYE is not supported"):
        read_colmap(text)


def test_absent_camera(binary: Path) -> None:
    patch(binary / "sparse" / "0" / "images.bin", 8 + 60, struct.pack("<I", 3))
    with pytest.raises(InputError, match=r"images\.bin: image 'view_11\.png': refers to camera 3"):
        read_colmap(binary)


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("count", [2**64 - 1, 2**40, 10**6])
def test_huge_counts_are_not_believed(binary: Path, name: str, count: int) -> None:
    patch(binary / "sparse" / "0" / f"{name}.bin", 0, struct.pack("<Q", count))
    with pytest.raises(InputError, match=rf"{name}\.bin: claims {count} .*, but only \d+ bytes are left"):
        read_colmap(binary)


def test_huge_inner_counts_are_not_believed(binary: Path) -> None:
    sparse = binary / "sparse" / "0"
    patch(sparse / "points3D.bin", 8 + 43, struct.pack("<Q", 2**60))
    with pytest.raises(InputError, match=r"points3D\.bin: claims \d+ track entries, but only"):
        read_colmap(binary)
    patch(sparse / "images.bin", 8 + 64 + len("view_11.png\0"), struct.pack("<Q", 2**61))
    with pytest.raises(InputError, match=r"images\.bin: claims \d+ observations, but only"):
        read_colmap(binary)


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
def test_truncated_files(binary: Path, name: str) -> None:
    file = binary / "sparse" / "0" / f"{name}.bin"
    content = file.read_bytes()
    for size in (0, 5, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        with pytest.raises(InputError, match=rf"{name}\.bin: (is cut short|claims)"):
            read_colmap(binary)


def test_names_without_an_end(binary: Path) -> None:
    file = binary / "sparse" / "0" / "images.bin"
    file.write_bytes(file.read_bytes()[: 8 + 64] + b"a" * 10_000)
    with pytest.raises(InputError, match="has an image name without an end"):
        read_colmap(binary)


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (12, float("nan"), "expected a unit quaternion"),
        (12, 3.0, "expected a unit quaternion"),
        (44, float("inf"), "expected finite numbers"),
        (44, 1e200, "expected a position below"),
    ],
)
def test_impossible_poses(binary: Path, offset: int, value: float, message: str) -> None:
    patch(binary / "sparse" / "0" / "images.bin", offset, struct.pack("<d", value))
    with pytest.raises(InputError, match=rf"images\.bin: image 'view_11\.png': {message}"):
        read_colmap(binary)


def test_impossible_focal_length_and_point(binary: Path) -> None:
    sparse = binary / "sparse" / "0"
    patch(sparse / "points3D.bin", 24, struct.pack("<d", float("nan")))
    with pytest.raises(InputError, match=r"points3D\.bin: point 0: expected coordinates below"):
        read_colmap(binary)
    patch(sparse / "points3D.bin", 24, struct.pack("<d", 1.0))
    patch(sparse / "cameras.bin", 32, struct.pack("<d", -60.0))
    with pytest.raises(
        InputError, match=r"images\.bin: camera 7: fl_x: expected a positive focal length .* -60"
    ):
        read_colmap(binary)


def test_pictures_of_another_size(binary: Path) -> None:
    patch(binary / "sparse" / "0" / "cameras.bin", 16, struct.pack("<Q", 96))
    with pytest.raises(InputError, match=r"view_11\.png: is 48x40, but camera 7 is 96x40"):
        read_colmap(binary)


def test_missing_files(binary: Path) -> None:
    (binary / "images" / "view_04.png").unlink()
    with pytest.raises(InputError, match=r"images\.bin: image 'view_04\.png': there is no file"):
        read_colmap(binary)
    (binary / "sparse" / "0" / "points3D.bin").unlink()
    with pytest.raises(InputError, match=r"sparse model: there is no file .*points3D\.bin"):
        read_colmap(binary)


def test_names_may_not_leave_the_folder(binary: Path) -> None:
    patch(binary / "sparse" / "0" / "images.bin", 8 + 64, b"../../x.png")
    with pytest.raises(InputError, match=r"'images/\.\./\.\./x\.png' leaves the data set's folder"):
        read_colmap(binary)


def test_no_registered_images(text: Path) -> None:
    (text / "sparse" / "images.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match=r"images\.txt: has no registered images"):
        read_colmap(text)


def test_names_with_spaces(text: Path) -> None:
    (text / "images" / "view_00.png").rename(text / "images" / "a view.png")
    file = text / "sparse" / "images.txt"
    file.write_text(file.read_text().replace("view_00.png", "a view.png"))
    assert read_colmap(text).views[0].name == "images/a view.png"


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("cameras.txt", "7 PINHOLE 48 40 60 61 24", "camera 7: PINHOLE has 4 parameters, got 3"),
        ("cameras.txt", "7 PINHOLE wide 40 60 61 24 20", "line 1: expected CAMERA_ID"),
        ("cameras.txt", "7", "line 1: expected CAMERA_ID"),
        ("images.txt", "1 1 0 0 0 0 0", "line 1: expected IMAGE_ID"),
        ("images.txt", "1 1 0 0 zero 0 0 0 7 view_00.png", "line 1: expected IMAGE_ID"),
        ("points3D.txt", "1 0 0", "line 1: expected POINT3D_ID"),
        ("points3D.txt", "1 0 0 inf 1 2 3 0.1", "point 0: expected coordinates below"),
        ("points3D.txt", "1 0 0 0 1 2 300 0.1", "expected colours between 0 and 255"),
    ],
)
def test_malformed_lines(text: Path, file: str, line: str, message: str) -> None:
    (text / "sparse" / file).write_text(f"{line}\n")
    with pytest.raises(InputError, match=rf"{file}: {message}"):
        read_colmap(text)


def test_text_of_another_encoding(text: Path) -> None:
    (text / "sparse" / "images.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"images\.txt: is not UTF-8 text"):
        read_colmap(text)


def test_a_scene_of_points_only_needs_positions(tmp_path: Path) -> None:
    """A model without points is normalised by its alpha channels."""
    folder = write_colmap_text(tmp_path, VIEWS, POINTS)
    (folder / "sparse" / "points3D.txt").write_text("# no points\n")
    scene = load_scene(folder)
    assert scene.points is None
    assert scene.point_colors is None


def test_quaternions_of_the_writer() -> None:
    rotation, translation = colmap_pose(np.eye(4))
    # Half a turn about x: y and z change sign.
    np.testing.assert_allclose(np.abs(rotation), [0, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(translation, 0, atol=1e-12)


def test_subfolders_of_images(tmp_path: Path) -> None:
    names = tuple(name.replace("images/", "images/left/") for name in VIEWS.names)
    views = SphereViews(VIEWS.cameras, VIEWS.rgba, names)
    save_pictures(tmp_path, views)
    scene = load_scene(write_colmap_binary(tmp_path, views, POINTS))
    assert scene.image_names == names
