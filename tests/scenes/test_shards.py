"""Shards are read as folders are, wherever they lie, and by webdataset's rules, too."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

import fsspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.tiny import write_sphere_scene
from latentfields.errors import InputError
from latentfields.scenes.load import is_scene, load_scene, scene_folders, scene_folders_below
from latentfields.scenes.scene import Scene
from latentfields.scenes.shards import (
    INDEX_SUFFIX,
    ShardPath,
    ShardWriter,
    located,
    member_name,
    writing_shard,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes as folders, and the same in a shard."""
    folder = tmp_path_factory.mktemp("shards")
    for name in ("one.a", "two"):
        write_sphere_scene(folder / "scenes" / name, views=6 if name == "two" else 5)
    with writing_shard(folder / "data" / "shard-00000.tar") as shard:
        for name in ("one.a", "two"):
            shard.add(name, folder / "scenes" / name)
    return folder


@pytest.fixture
def memory(folder: Path) -> Iterator[str]:
    """The same shard and its index, in fsspec's memory."""
    system = fsspec.filesystem("memory")
    for path in (folder / "data").iterdir():
        system.pipe(f"/bucket/data/{path.name}", path.read_bytes())
    yield "memory://bucket/data"
    system.rm("/bucket", recursive=True)


def assert_equal(first: Scene, second: Scene) -> None:
    assert first.name == second.name
    assert first.image_names == second.image_names
    assert torch.equal(first.pixels, second.pixels)
    assert first.alpha is not None
    assert second.alpha is not None
    assert torch.equal(first.alpha, second.alpha)
    assert torch.equal(first.cameras.camera_to_world, second.cameras.camera_to_world)
    assert first.splits.keys() == second.splits.keys()


def test_a_scene_in_a_shard_is_the_scene_in_a_folder(folder: Path) -> None:
    shard = folder / "data" / "shard-00000.tar"
    for name in ("one.a", "two"):
        read = load_scene(shard / name)
        assert_equal(read, load_scene(folder / "scenes" / name))
        assert read.source == str(shard / name)


def test_scenes_are_found_in_shards_and_folders_of_them(folder: Path) -> None:
    shard = folder / "data" / "shard-00000.tar"
    expected = [shard / "one.a", shard / "two"]
    assert scene_folders_below(shard) == expected
    assert scene_folders_below(folder / "data") == expected
    assert scene_folders_below(shard / "two") == [shard / "two"]
    assert [*scene_folders([folder / "scenes", shard])] == [
        folder / "scenes" / "one.a",
        folder / "scenes" / "two",
        *expected,
    ]
    assert is_scene(shard / "two")
    assert not is_scene(shard)
    assert not is_scene(shard / "three")


def test_what_is_no_scene_in_a_shard_is_one_line(folder: Path, tmp_path: Path) -> None:
    shard = folder / "data" / "shard-00000.tar"
    with pytest.raises(InputError, match=r"shard-00000\.tar: is a folder of scenes; expected one of them"):
        load_scene(shard)
    with pytest.raises(InputError, match="three: there is no such folder"):
        load_scene(shard / "three")
    (tmp_path / "empty.tar").write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.tar: cannot be read as a tar file"):
        scene_folders_below(tmp_path / "empty.tar")
    (tmp_path / "folder.tar").mkdir()
    with pytest.raises(InputError, match="no scenes here"):
        scene_folders_below(tmp_path / "folder.tar")


def test_shards_that_tar_makes_of_folders_are_read_as_well(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "made.tar", "w") as tar:
        tar.add(folder / "scenes" / "two", arcname="./two")
    assert_equal(load_scene(tmp_path / "made.tar" / "two"), load_scene(folder / "scenes" / "two"))


def test_without_an_index_the_shard_is_looked_through(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "data" / "shard-00000.tar", tmp_path)
    shard = tmp_path / "shard-00000.tar"
    assert_equal(load_scene(shard / "two"), load_scene(folder / "scenes" / "two"))
    # An index of another shard says nothing of this one.
    index = tmp_path / f"shard-00000.tar{INDEX_SUFFIX}"
    index.write_text(json.dumps({"bytes": 1, "files": {}}))
    shard.touch()
    assert_equal(load_scene(shard / "two"), load_scene(folder / "scenes" / "two"))


def test_an_index_that_lies_is_found_out(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "data").iterdir():
        shutil.copy(path, tmp_path)
    shard, index = tmp_path / "shard-00000.tar", tmp_path / f"shard-00000.tar{INDEX_SUFFIX}"
    told = json.loads(index.read_text())
    name = member_name("two", "transforms_train.json")
    told["files"][name][0] += 512
    index.write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"is not what its index says; delete shard-00000\.tar\.index\.json"):
        load_scene(shard / "two")
    wrong: list[object] = [[], {"a": [1, 2]}, {"a": 5}]
    for files in wrong:
        index.write_text(json.dumps(told | {"files": files}))
        shard.touch()
        with pytest.raises(InputError, match="is no index of a shard"):
            load_scene(shard / "two")


def test_a_shard_that_is_cut_short_is_refused(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "data" / "shard-00000.tar").read_bytes()
    for size in (len(whole) // 2, len(whole) // 3, 700):
        shard = tmp_path / f"{size}.tar"
        shard.write_bytes(whole[:size])
        with pytest.raises(InputError):
            load_scene(shard / "two")


@pytest.mark.parametrize("name", ["../out.txt", "/etc/passwd", "a/../../b", "a.%2E%2E%2F%2E%2E%2Fb"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as tar:
        info = tarfile.TarInfo(name)
        tar.addfile(info)
    with pytest.raises(InputError, match="leads out of it"):
        scene_folders_below(tmp_path / "bad.tar")


def test_pictures_outside_of_the_scene_are_not_reached(folder: Path, tmp_path: Path) -> None:
    scene = tmp_path / "scene"
    shutil.copytree(folder / "scenes" / "two", scene)
    file = scene / "transforms_train.json"
    for wanted in ("../two/train/r_0", "/etc/passwd"):
        listed = json.loads(file.read_text())
        listed["frames"][0]["file_path"] = wanted
        file.write_text(json.dumps(listed))
        with writing_shard(tmp_path / "bad.tar") as shard:
            shard.add("scene", scene)
            shard.add("two", folder / "scenes" / "two")
        with pytest.raises(InputError, match=r"leaves the data set's folder|there is no file"):
            load_scene(tmp_path / "bad.tar" / "scene")


def test_equal_scenes_give_equal_bytes_and_nothing_half(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "again.tar"
    with writing_shard(path) as shard:
        for name in ("one.a", "two"):
            shard.add(name, folder / "scenes" / name)
    assert path.read_bytes() == (folder / "data" / "shard-00000.tar").read_bytes()
    with pytest.raises(FileNotFoundError), writing_shard(tmp_path / "half.tar") as shard:
        _add_and_fail(shard, folder / "scenes" / "two")
    assert {file.name for file in tmp_path.iterdir()} == {"again.tar", f"again.tar{INDEX_SUFFIX}"}


def _add_and_fail(shard: ShardWriter, scene: Path) -> None:
    shard.add("two", scene)
    raise FileNotFoundError


def test_every_scene_is_a_sample_by_webdatasets_rule(folder: Path) -> None:
    """The key is the name up to the first dot of its last part; files of one key follow each other."""
    with tarfile.open(folder / "data" / "shard-00000.tar") as tar:
        names = tar.getnames()
    keys = [name.split(".")[0] for name in names]
    assert not any("/" in name for name in names)
    assert [*dict.fromkeys(keys)] == ["one%2Ea", "two"]
    assert keys == sorted(keys)
    assert "two.train%2Fr_0.png" in names


@given(scene=st.text("ab.%/ é-_", min_size=1), file=st.text("ab.%/ é", min_size=1))
def test_names_come_back(scene: str, file: str) -> None:
    key, _, rest = member_name(scene, file).partition(".")
    assert (unquote(key), unquote(rest)) == (scene, file)


def test_a_place_in_a_shard_is_a_path(folder: Path) -> None:
    shard = located(folder / "data" / "shard-00000.tar")
    assert isinstance(shard, ShardPath)
    file = shard / "two" / "train" / "r_0.png"
    truth = folder / "scenes" / "two" / "train" / "r_0.png"
    assert file.is_file()
    assert not file.is_dir()
    assert file.exists()
    assert not (shard / "two" / "nothing").exists()
    assert file.stat().st_size == truth.stat().st_size
    assert file.read_bytes() == truth.read_bytes()
    assert (shard / "two" / "transforms_train.json").read_text() == (
        folder / "scenes" / "two" / "transforms_train.json"
    ).read_text()
    assert [path.name for path in (shard / "two").iterdir()] == [
        "test",
        "train",
        "transforms_test.json",
        "transforms_train.json",
    ]
    assert len([*shard.rglob("*.png")]) == len([*(folder / "scenes").rglob("*.png")])
    assert [path.name for path in shard.glob("t*")] == ["two"]
    assert (shard / "two" / ".." / "one.a").resolve() == shard.resolve() / "one.a"
    for call in (
        lambda: (shard / "x").stat(),
        lambda: (shard / "x").read_bytes(),
        lambda: (shard / "x").iterdir(),
    ):
        with pytest.raises(FileNotFoundError):
            call()
    with pytest.raises(OSError, match="Read-only"):
        file.open("wb")
    assert located(folder / "scenes") is not None
    assert not isinstance(located(folder / "scenes"), ShardPath)


@pytest.mark.parametrize("spelled", [str, Path])
def test_shards_elsewhere_are_read_by_their_urls(
    folder: Path, memory: str, spelled: Callable[[str], str | Path]
) -> None:
    read = load_scene(spelled(f"{memory}/shard-00000.tar/two"))
    assert_equal(read, load_scene(folder / "scenes" / "two"))
    found = scene_folders_below(Path(spelled(f"{memory}/shard-00000.tar")))
    assert [path.name for path in found] == ["one.a", "two"]
    assert scene_folders_below(Path(memory)) == found


def test_of_a_shard_elsewhere_only_what_is_read_is_fetched(
    folder: Path, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[int] = []
    system = type(fsspec.filesystem("memory"))
    whole = system.cat_file

    def counted(self: object, path: str, start: int | None = None, end: int | None = None) -> bytes:
        content: bytes = whole(self, path, start=start, end=end)
        fetched.append(len(content))
        return content

    monkeypatch.setattr(system, "cat_file", counted)
    monkeypatch.setattr(system, "open", None)
    (located(Path(memory) / "shard-00000.tar") / "two" / "train" / "r_0.png").read_bytes()
    assert sum(fetched) < (folder / "data" / "shard-00000.tar").stat().st_size / 2


def test_what_cannot_be_had_from_elsewhere_is_one_line(memory: str) -> None:
    with pytest.raises(InputError, match=r"nothing\.tar"):
        load_scene(f"{memory}/nothing.tar/two")
    with pytest.raises(InputError, match="is no URL that fsspec reads"):
        load_scene("warp-drive://bucket/shard.tar/two")
