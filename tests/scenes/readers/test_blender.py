import math
from pathlib import Path

import pytest
import torch

from helpers.scene_files import edit_json, sphere_views, write_blender
from latentfields.errors import InputError
from latentfields.scenes.readers.blender import read_blender


def test_splits_follow_the_files(tmp_path: Path) -> None:
    views = sphere_views()
    parts = {"train": slice(0, 7), "val": slice(7, 9), "test": slice(9, 12)}
    capture = read_blender(write_blender(tmp_path, views, parts=parts))
    assert {name: list(part) for name, part in capture.splits.items()} == {
        "train": list(range(7)),
        "val": [7, 8],
        "test": [9, 10, 11],
    }
    assert [view.name for view in capture.views] == list(views.names)


def test_a_missing_picture_moves_no_other_to_another_split(tmp_path: Path) -> None:
    views = sphere_views()
    parts = {"train": slice(0, 7), "val": slice(7, 9), "test": slice(9, 12)}
    folder = write_blender(tmp_path, views, parts=parts)
    (folder / views.names[2]).unlink()
    with pytest.warns(UserWarning, match="1 of 7 pictures are missing"):
        capture = read_blender(folder)
    assert {name: [capture.views[i].name for i in part] for name, part in capture.splits.items()} == {
        name: [view for view in views.names[part] if view != views.names[2]] for name, part in parts.items()
    }


def test_validation_views_stand_in_for_test_views(tmp_path: Path) -> None:
    parts = {"train": slice(0, 7), "val": slice(7, 9)}
    capture = read_blender(write_blender(tmp_path, sphere_views(), parts=parts))
    assert list(capture.splits["test"]) == [7, 8]


def test_a_lone_training_file_is_split(tmp_path: Path) -> None:
    capture = read_blender(write_blender(tmp_path, sphere_views(), parts={"train": slice(0, 12)}))
    assert list(capture.splits["test"]) == [0, 8]
    assert len(capture.splits["train"]) == 10


def test_camera_angle_gives_the_focal_length(tmp_path: Path) -> None:
    folder = write_blender(tmp_path, sphere_views(), parts={"train": slice(0, 12)})
    edit_json(folder / "transforms_train.json", camera_angle_x=2 * math.atan(0.5))
    lens = read_blender(folder).views[0].lens
    assert lens.fx == lens.fy == pytest.approx(48)
    assert (lens.cx, lens.cy) == (24, 20)


def test_poses_are_kept(tmp_path: Path) -> None:
    views = sphere_views()
    capture = read_blender(write_blender(tmp_path, views, parts={"train": slice(0, 12)}))
    poses = torch.stack([torch.from_numpy(view.pose) for view in capture.views])
    torch.testing.assert_close(poses, views.cameras.camera_to_world)


@pytest.mark.parametrize("angle", [0.0, -1.0, 4.0, "wide", None])
def test_impossible_angles(tmp_path: Path, angle: object) -> None:
    folder = write_blender(tmp_path, sphere_views(), parts={"train": slice(0, 12)})
    edit_json(folder / "transforms_train.json", camera_angle_x=angle)
    with pytest.raises(InputError, match=r"transforms_train\.json: frames\[0\]\.camera_angle_x: expected"):
        read_blender(folder)


def test_empty_split_file(tmp_path: Path) -> None:
    folder = write_blender(tmp_path, sphere_views(), parts={"train": slice(0, 12), "test": slice(0, 0)})
    with pytest.raises(InputError, match=r"transforms_test\.json: frames: expected a list with at least one"):
        read_blender(folder)
