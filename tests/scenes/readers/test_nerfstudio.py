import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.scene_files import edit_json, save_picture, sphere_views, write_nerfstudio
from latentfields.errors import InputError
from latentfields.scenes import load_scene
from latentfields.scenes.readers.nerfstudio import read_nerfstudio


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_nerfstudio(tmp_path / "ball", sphere_views())


def set_top(folder: Path, **changes: object) -> None:
    edit_json(folder / "transforms.json", **changes)


def drop(folder: Path, *names: str) -> None:
    """Remove fields from every frame."""
    file = folder / "transforms.json"
    value = json.loads(file.read_text())
    for frame in value["frames"]:
        for name in names:
            frame.pop(name, None)
    file.write_text(json.dumps(value))


def test_frames_fall_back_on_the_file(folder: Path) -> None:
    drop(folder, "fl_x", "fl_y", "cx", "cy", "w", "h")
    set_top(folder, fl_x=50.0, fl_y=51.0, cx=20.0, cy=21.0, w=48, h=40, frame_fl_x=70.0)
    first, second = read_nerfstudio(folder).views[:2]
    assert (first.lens.fx, first.lens.fy, first.lens.cx, first.lens.cy) == (70, 51, 20, 21)
    assert second.lens.fx == 50


def test_angles_serve_where_there_are_no_focal_lengths(folder: Path) -> None:
    drop(folder, "fl_x", "fl_y", "cx", "cy", "w", "h")
    set_top(folder, camera_angle_x=2 * math.atan(0.5))
    lens = read_nerfstudio(folder).views[0].lens
    assert [lens.fx, lens.fy] == pytest.approx([48, 48])
    assert (lens.cx, lens.cy, lens.width, lens.height) == (24, 20, 48, 40)
    set_top(folder, camera_angle_y=2 * math.atan(0.25))
    assert read_nerfstudio(folder).views[0].lens.fy == pytest.approx(80)


def test_distortion_is_read(folder: Path) -> None:
    set_top(folder, k1=0.1, k2=-0.02, k3=0.003, p1=1e-3, p2=-1e-3)
    distortion = read_nerfstudio(folder).views[3].lens.distortion
    assert distortion.radial == (0.1, -0.02, 0.003, 0.0)
    assert (distortion.p1, distortion.p2) == (1e-3, -1e-3)


@pytest.mark.parametrize("model", ["PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV"])
def test_perspective_models(folder: Path, model: str) -> None:
    set_top(folder, camera_model=model)
    assert len(read_nerfstudio(folder).views) == 12


@pytest.mark.parametrize(
    ("change", "model"),
    [
        ({"camera_model": "OPENCV_FISHEYE"}, "fisheye"),
        ({"is_fisheye": True}, "fisheye"),
        ({"is_fisheye": 1}, "fisheye"),
        ({"is_fisheye": 0}, "polynomial"),
        ({"camera_model": "THIN_PRISM_FISHEYE"}, "fisheye"),
        ({"camera_model": "FULL_OPENCV"}, "rational"),
    ],
)
def test_lenses_that_are_no_polynomials(folder: Path, change: dict[str, object], model: str) -> None:
    set_top(folder, k1=0.1, k3=0.03, **change)
    distortion = read_nerfstudio(folder).views[0].lens.distortion
    assert distortion.model == model
    assert distortion.radial == (0.1, 0, 0.03, 0)


def test_other_models_are_refused(folder: Path) -> None:
    set_top(folder, camera_model="EQUIRECTANGULAR")
    with pytest.raises(
        InputError, match=r"camera_model: EQUIRECTANGULAR is not supported; expected one of PINHOLE"
    ):
        read_nerfstudio(folder)


def test_views_are_ordered_by_name(folder: Path) -> None:
    file = folder / "transforms.json"
    value = json.loads(file.read_text())
    value["frames"].reverse()
    file.write_text(json.dumps(value))
    views = read_nerfstudio(folder).views
    assert [view.name for view in views] == list(sphere_views().names)
    np.testing.assert_allclose(views[2].pose, sphere_views().poses[2], atol=1e-12)


def test_listed_splits(folder: Path) -> None:
    names = sphere_views().names
    set_top(
        folder, train_filenames=list(names[:5]), val_filenames=[names[6]], test_filenames=[f"./{names[7]}"]
    )
    scene = load_scene(folder)
    assert {name: part.tolist() for name, part in scene.splits.items()} == {
        "train": [0, 1, 2, 3, 4],
        "val": [6],
        "test": [7],
    }


def test_a_missing_picture_moves_no_other_to_another_listed_split(folder: Path) -> None:
    names = sphere_views().names
    lists = {"train": names[:5], "val": names[6:8], "test": names[9:11]}
    set_top(folder, **{f"{split}_filenames": list(part) for split, part in lists.items()})
    (folder / names[0]).unlink()
    (folder / names[9]).unlink()
    with pytest.warns(UserWarning, match="2 of 12 pictures are missing"):
        capture = read_nerfstudio(folder)
    assert {split: [capture.views[i].name for i in part] for split, part in capture.splits.items()} == {
        "train": list(names[1:5]),
        "val": list(names[6:8]),
        "test": [names[10]],
    }


@pytest.mark.parametrize(("split", "message"), [("test", "test"), ("train", "train"), ("val", "val")])
def test_a_list_whose_pictures_are_all_missing(folder: Path, split: str, message: str) -> None:
    names = sphere_views().names
    lists = {"train": names[:6], "test": names[6:11]} if split != "val" else {"train": names[:6]}
    lists[split] = names[8:10] if split != "train" else names[:4]
    set_top(folder, **{f"{split}_filenames": list(part) for split, part in lists.items()})
    for name in lists[split]:
        (folder / name).unlink()
    with (
        pytest.warns(UserWarning, match="of 12 pictures are missing"),
        pytest.raises(InputError, match=f"{message}_filenames: all of its pictures are missing"),
    ):
        read_nerfstudio(folder)


def test_paths_of_another_machine(folder: Path) -> None:
    names = sphere_views().names
    file = folder / "transforms.json"
    value = json.loads(file.read_text())
    for frame in value["frames"]:
        frame["file_path"] = "D:\\scene\\" + frame["file_path"].replace("/", "\\")
    listed = [frame["file_path"] for frame in value["frames"]]
    value |= {"train_filenames": listed[:5], "test_filenames": listed[5:7]}
    file.write_text(json.dumps(value))
    with pytest.warns(UserWarning, match="named by paths that are not here, and found by their ends"):
        capture = read_nerfstudio(folder)
    assert [view.name for view in capture.views] == list(names)
    assert [list(capture.splits[split]) for split in ("train", "test")] == [[0, 1, 2, 3, 4], [5, 6]]


@pytest.mark.parametrize("ending", [".jpg", ".JPG", ".webp", ".PNG"])
def test_endings_may_be_left_out(folder: Path, ending: str) -> None:
    file = folder / "transforms.json"
    value = json.loads(file.read_text())
    for frame in value["frames"]:
        picture = folder / frame["file_path"]
        frame["file_path"] = frame["file_path"].removesuffix(".png")
        Image.open(picture).convert("RGB").save(picture.with_suffix(ending))
        picture.unlink()
    file.write_text(json.dumps(value))
    assert {view.image.suffix for view in read_nerfstudio(folder).views} == {ending}


def test_listed_validation_views_stand_in_for_test_views(folder: Path) -> None:
    names = sphere_views().names
    set_top(folder, train_filenames=list(names[:5]), val_filenames=[names[6]])
    assert list(read_nerfstudio(folder).splits["test"]) == [6]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"train_filenames": ["images/view_00.png"]}, "test_filenames: expected a list"),
        ({"test_filenames": ["images/view_00.png"]}, "train_filenames: expected a list"),
        ({"train_filenames": ["images/view_99.png"]}, "'images/view_99.png' is not among the frames"),
        ({"train_filenames": []}, "train_filenames: expected a list of texts"),
        ({"train_filenames": "images/view_00.png"}, "train_filenames: expected a list of texts"),
    ],
)
def test_wrong_splits(folder: Path, lists: dict[str, object], message: str) -> None:
    set_top(folder, **lists)
    with pytest.raises(InputError, match=message):
        read_nerfstudio(folder)


def test_masks_named_by_frames(folder: Path) -> None:
    mask = np.zeros((40, 48), np.uint8)
    mask[10:30, 12:36] = 255
    for index in range(12):
        save_picture(folder / "kept" / f"{index}.png", mask)
    file = folder / "transforms.json"
    value = json.loads(file.read_text())
    for index, frame in enumerate(value["frames"]):
        frame["mask_path"] = f"kept/{index}.png"
    file.write_text(json.dumps(value))
    scene = load_scene(folder)
    assert scene.alpha is not None
    assert np.array_equal(scene.alpha[5, 0].numpy(), mask)
    ignored = load_scene(folder, masks="none")
    assert ignored.alpha is not None
    assert not np.array_equal(ignored.alpha[5, 0].numpy(), mask)


def test_a_mask_for_some_views_only_is_refused(folder: Path) -> None:
    save_picture(folder / "kept.png", np.full((40, 48), 255, np.uint8))
    edit_json(folder / "transforms.json", frame_mask_path="kept.png")
    with pytest.raises(
        InputError, match=r"has masks, but none for images/view_01\.png; expected one for every"
    ):
        load_scene(folder)
    assert len(load_scene(folder, masks="none")) == 12


def test_points_of_the_ply_file(folder: Path) -> None:
    header = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
    header += "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n"
    (folder / "sparse.ply").write_text(header + "3 -2 10 1 2 3\n3.1 -2 10 4 5 6\n")
    set_top(folder, ply_file_path="sparse.ply")
    scene = load_scene(folder)
    assert scene.points is not None
    assert scene.point_colors is not None
    assert scene.point_colors.tolist() == [[1, 2, 3], [4, 5, 6]]
    scale = float(scene.world_to_scene[0, 0])
    assert float(scene.points[1, 0] - scene.points[0, 0]) == pytest.approx(0.1 * scale, rel=1e-4)
    set_top(folder, ply_file_path="../sparse.ply")
    with pytest.raises(InputError, match=r"ply_file_path: '\.\./sparse\.ply' leaves the data set's folder"):
        load_scene(folder)
