from pathlib import Path
from typing import Any

import pytest

from helpers.corner_scene import corner_cameras, write_colmap_scene, write_depth_scene
from helpers.correspondence_data import TINY_SCENE
from latentfields.correspondences import make as module
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.correspondences.files import SceneCorrespondences
from latentfields.correspondences.make import correspond
from latentfields.errors import InputError

CAMERAS = corner_cameras(6, **TINY_SCENE)


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    write_depth_scene(tmp_path / "scenes" / "traced", CAMERAS)
    write_colmap_scene(tmp_path / "scenes" / "photographed", CAMERAS)
    return tmp_path / "scenes"


def made(scenes: Path, out: Path, **options: Any) -> dict[str, SceneCorrespondences]:
    return {s.name: s for s in correspond([scenes], out=out, options=CorrespondenceConfig(**options))}


def test_every_scene_is_read_by_what_it_has(scenes: Path, tmp_path: Path) -> None:
    found = made(scenes, tmp_path / "out")
    assert {name: scene.about["source"] for name, scene in found.items()} == {
        "photographed": "colmap",
        "traced": "depth",
    }
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "photographed.safetensors",
        "traced.safetensors",
    ]


def test_scenes_that_are_there_are_not_made_again(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(scenes, tmp_path / "out")
    before = {p: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(module, "_FINDERS", {})
    again = made(scenes, tmp_path / "out")
    assert {p: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert all(len(again[name]) == len(first[name]) for name in first)


def test_the_same_scene_gives_the_same_bytes(scenes: Path, tmp_path: Path) -> None:
    made(scenes, tmp_path / "one")
    made(scenes, tmp_path / "two")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_other_options_need_another_folder(scenes: Path, tmp_path: Path) -> None:
    made(scenes, tmp_path / "out")
    with pytest.raises(InputError, match="choose another folder"):
        made(scenes, tmp_path / "out", min_points=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "colmap"}, "traced: cannot be read as 'colmap'; it has depth, images"),
        ({"min_points": 0}, "at least 1"),
        ({"largest_angle": 0.0}, "largest_angle: is 0.0; expected more than 0 and at most 180"),
        ({"min_inlier_ratio": 1.5}, "min_inlier_ratio: is 1.5; expected 0 to 1"),
    ],
)
def test_bad_options_leave_nothing_behind(
    scenes: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        made(scenes, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_scene_that_cannot_be_used_leaves_no_file_of_its_own(scenes: Path, tmp_path: Path) -> None:
    (scenes / "photographed" / "sparse" / "images.txt").write_text("")
    with pytest.raises(InputError, match="no image sees a sparse point"):
        made(scenes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("meta", ["[]", '{"frames": 3}', '{"frames": [1, {}]}'])
def test_a_file_that_describes_no_depth_maps_is_passed_over(tmp_path: Path, meta: str) -> None:
    scene = write_colmap_scene(tmp_path / "photographed", CAMERAS)
    (scene / "transforms.json").write_text(meta)
    assert made(scene, tmp_path / "out")["photographed"].about["source"] == "colmap"


def test_folders_without_scenes_are_refused(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for root, message in ((tmp_path / "empty", "no scenes here"), (tmp_path / "none", "no such folder")):
        with pytest.raises(InputError, match=message):
            made(root, tmp_path / "out")
    with pytest.raises(InputError, match="name at least one scene"):
        list(correspond([], out=tmp_path / "out", options=CorrespondenceConfig()))
    with pytest.raises(InputError, match="the same name"):
        list(correspond([scenes, scenes], out=tmp_path / "out", options=CorrespondenceConfig()))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is not a folder"):
        made(scenes, tmp_path / "file")
