import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

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
from latentfields.scenes.readers.colmap import binary as colmap_binary
from latentfields.scenes.readers.colmap.folder import read_colmap
from latentfields.scenes.readers.colmap.model import OTHERS, PARAMETERS, ColmapCamera, UnreadCamera

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
    scene = load_scene(write_colmap_binary(tmp_path, views, POINTS), bounds="object")
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
        (
            5,
            [60.0, 61.0, 24.0, 20.0, 0.1, -0.2, 0.3, -0.4],
            (60, 61),
            Distortion(k1=0.1, k2=-0.2, k3=0.3, k4=-0.4, model="fisheye"),
        ),
        (
            6,
            [60.0, 61.0, 24.0, 20.0, 0.1, -0.2, 0.01, 0.02, 0.3, 0.4, 0.5, 0.6],
            (60, 61),
            Distortion(k1=0.1, k2=-0.2, p1=0.01, p2=0.02, k3=0.3, k4=0.4, k5=0.5, k6=0.6, model="rational"),
        ),
        (7, [60.0, 61.0, 24.0, 20.0, 0.9], (60, 61), Distortion(omega=0.9, model="fov")),
        (8, [60.0, 24.0, 20.0, 0.1], (60, 60), Distortion(k1=0.1, model="fisheye")),
        (9, [60.0, 24.0, 20.0, 0.1, 0.2], (60, 60), Distortion(k1=0.1, k2=0.2, model="fisheye")),
        (
            10,
            [60.0, 61.0, 24.0, 20.0, 0.1, -0.2, 0.01, 0.02, 0.3, 0.4, 0.05, 0.06],
            (60, 61),
            Distortion(
                k1=0.1, k2=-0.2, p1=0.01, p2=0.02, k3=0.3, k4=0.4, sx1=0.05, sy1=0.06, model="fisheye"
            ),
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


def test_unknown_models_are_refused(binary: Path) -> None:
    patch(binary / "sparse" / "0" / "cameras.bin", 12, struct.pack("<i", 99))
    with pytest.raises(
        InputError, match=r"cameras\.bin: camera 7: model number 99 is not supported; expected one of"
    ):
        read_colmap(binary)


def test_models_that_no_picture_was_taken_with_do_not_matter(text: Path, tmp_path: Path) -> None:
    file = text / "sparse" / "cameras.txt"
    before = read_colmap(text)
    file.write_text(file.read_text().replace("PINHOLE", "pinhole") + "9 DIVISION 10 10 5 5 5 5 0.1\n")
    after = read_colmap(text)
    assert [view.lens for view in after.views] == [view.lens for view in before.views]


@pytest.mark.parametrize("model", OTHERS)
def test_models_that_are_not_read_are_passed_over_in_binary(tmp_path: Path, model: str) -> None:
    """COLMAP's own files: a camera of such a model, and one after it."""
    pycolmap = pytest.importorskip("pycolmap")
    number = [*PARAMETERS, *OTHERS].index(model)
    if not hasattr(pycolmap.CameraModelId, model):
        pytest.skip(f"this pycolmap has no {model}")
    made = pycolmap.Camera.create_from_model_id(1, getattr(pycolmap.CameraModelId, model), 90.0, 64, 48)
    assert int(made.model) == number
    known = pycolmap.Camera(camera_id=2, model="PINHOLE", width=64, height=48, params=[90, 90, 32, 24])
    reconstruction = pycolmap.Reconstruction()
    for camera in (made, known):
        reconstruction.add_camera(camera)
    reconstruction.write_binary(str(tmp_path))
    cameras = colmap_binary.read_cameras(tmp_path / "cameras.bin")
    assert isinstance(cameras[1], UnreadCamera)
    assert cameras[1].model == model
    assert isinstance(cameras[2], ColmapCamera)
    assert cameras[2].parameters["fx"] == 90


@pytest.mark.parametrize("place", ["input", ".", "images"])
def test_where_pictures_may_lie(text: Path, place: str) -> None:
    (text / "images").rename(text / "elsewhere")
    (text / place).mkdir(exist_ok=True)
    for picture in (text / "elsewhere").iterdir():
        picture.rename(text / place / picture.with_suffix(".PNG").name)
    (text / "elsewhere").rmdir()
    assert len(read_colmap(text).views) == len(VIEWS.names)


@pytest.mark.parametrize("root", ["C:\\\\me\\\\images\\\\", "/home/me/scene/images/", "images/"])
def test_paths_of_another_machine(text: Path, root: str) -> None:
    before = read_colmap(text)
    file = text / "sparse" / "images.txt"
    file.write_text(file.read_text().replace("view_", f"{root}view_"))
    if root == "images/":
        after = read_colmap(text)
    else:
        with pytest.warns(UserWarning, match="named by paths that are not here, and found by their ends"):
            after = read_colmap(text)
    assert [view.image for view in after.views] == [view.image for view in before.views]


def test_unknown_models_in_text_are_refused(text: Path) -> None:
    file = text / "sparse" / "cameras.txt"
    file.write_text(file.read_text().replace("PINHOLE", "RAD_TAN_THIN_PRISM_FISHEYE"))
    with pytest.raises(
        InputError, match=r"cameras\.txt: camera 7: model RAD_TAN_THIN_PRISM_FISHEYE is not supported"
    ):
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
    with pytest.raises(
        InputError, match=r"images\.bin: camera 7: expected the size of view_11\.png, 48x40, got 96x40"
    ):
        read_colmap(binary)


def test_missing_files(binary: Path) -> None:
    (binary / "images" / "view_04.png").unlink()
    with pytest.warns(
        UserWarning, match=r"1 of 12 pictures .* the first: image 'view_04\.png': there is no file"
    ):
        capture = read_colmap(binary)
    assert [view.name for view in capture.views] == [name for name in VIEWS.names if "04" not in name]
    assert [capture.views[index].name for index in capture.splits["test"]] == [VIEWS.names[0], VIEWS.names[8]]
    for index in range(5, 12):
        (binary / "images" / f"view_{index:02d}.png").unlink()
    with pytest.raises(
        InputError, match=r"images\.bin: image 'view_11\.png': there is no file.*; 8 of 12 pictures"
    ):
        read_colmap(binary)
    (binary / "sparse" / "0" / "points3D.bin").unlink()
    with pytest.raises(InputError, match=r"sparse model: there is no file .*points3D\.bin"):
        read_colmap(binary)


def without_blank_lines(text: Path) -> Path:
    file = text / "sparse" / "images.txt"
    lines = [line for line in file.read_text().splitlines() if line.strip()]
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_text_without_blank_lines(text: Path, ending: str, mark: str) -> None:
    expected = read_colmap(text).views
    file = without_blank_lines(text)
    file.write_bytes((mark + file.read_text().replace("\n", ending)).encode())
    found = read_colmap(text).views
    assert [view.name for view in found] == [view.name for view in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.pose, other.pose)


@pytest.mark.parametrize("name", ["0001", "2021 05 06.png", "my 2 pictures.png", "10 20"])
def test_names_that_look_like_numbers(text: Path, name: str) -> None:
    """The second image follows one without observations, whose blank line is gone."""
    (text / "images" / "view_01.png").rename(text / "images" / name)
    file = without_blank_lines(text)
    file.write_text(file.read_text().replace("view_01.png", name))
    names = {view.name for view in read_colmap(text).views}
    assert names == {*VIEWS.names} - {"images/view_01.png"} | {f"images/{name}"}


def test_observations_are_no_images(text: Path) -> None:
    """Even those whose numbers might be a unit quaternion."""
    file = text / "sparse" / "images.txt"
    file.write_text(file.read_text().replace("1.0 2.0 -1 5.0 6.0 12", "1 1 0 0 0 0 0 0 7 5 6 12"))
    assert len(read_colmap(text).views) == 12


def test_backslashes_are_separators(tmp_path: Path) -> None:
    names = tuple(name.replace("images/", "images/left/") for name in VIEWS.names)
    folder = write_colmap_text(tmp_path, SphereViews(VIEWS.cameras, VIEWS.rgba, names), POINTS)
    file = folder / "sparse" / "images.txt"
    file.write_text(file.read_text().replace("left/", "left\\"))
    assert [view.name for view in read_colmap(folder).views] == list(names)


def model_of_some(folder: Path, model: str, count: int) -> None:
    """A sparse model of the first views beside what `folder` holds."""
    part = SphereViews(VIEWS.cameras[torch.arange(count)], VIEWS.rgba[:count], VIEWS.names[:count])
    written = write_colmap_binary(folder.parent / "part", part, POINTS)
    (folder / model).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(written / "sparse" / "0", folder / model)


@pytest.mark.parametrize("other", ["sparse/1", "sparse/10", "colmap/sparse/1"])
def test_the_largest_of_several_models_is_read(binary: Path, other: str) -> None:
    (binary / "sparse" / "0").rename(binary / "moved")
    model_of_some(binary, "sparse/0", 3)
    (binary / other).parent.mkdir(parents=True, exist_ok=True)
    (binary / "moved").rename(binary / other)
    with pytest.warns(
        UserWarning, match=rf"has 2 sparse models; {other}, the one with the most pictures \(12\)"
    ):
        assert len(read_colmap(binary).views) == 12
    assert len(read_colmap(binary, model=Path("sparse/0")).views) == 3


@pytest.mark.parametrize("place", ["sparse/1", "colmap/sparse/1", "colmap/sparse/0"])
def test_models_under_another_number(binary: Path, place: str) -> None:
    (binary / place).parent.mkdir(parents=True, exist_ok=True)
    (binary / "sparse" / "0").rename(binary / place)
    assert len(load_scene(binary)) == 12


def test_a_model_elsewhere(binary: Path) -> None:
    elsewhere = binary.parent / "reconstruction"
    (binary / "sparse" / "0").rename(elsewhere)
    with pytest.raises(InputError, match="photographs without poses"):
        load_scene(binary)
    scene = load_scene(binary, model=elsewhere)
    assert len(scene) == 12
    assert scene.reading.model == str(elsewhere)
    with pytest.raises(
        InputError, match=r"images: has no sparse model; expected cameras\.bin or cameras\.txt"
    ):
        load_scene(binary, model="images")
    with pytest.raises(InputError, match="model: is a folder of COLMAP's; expected the `format` colmap"):
        load_scene(binary, model=elsewhere, format="nerfstudio")


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
