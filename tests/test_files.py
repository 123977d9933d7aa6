"""Files and folders that are never seen half written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from latentfields.errors import InputError
from latentfields.files import (
    MAX_JSON_BYTES,
    as_folders,
    read_json,
    remove_leftovers,
    replacing,
    write_json,
)
from latentfields.training.checkpoint import save_tensors


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "views"
    with replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("a")
        assert not target.exists()
    assert (target / "a").read_text() == "a"
    assert [path.name for path in target.parent.iterdir()] == ["views"]


def test_a_folder_that_fails_is_removed(tmp_path: Path) -> None:
    def fail() -> None:
        with replacing(tmp_path / "views") as temporary:
            temporary.mkdir()
            (temporary / "a").write_text("a")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not [*tmp_path.iterdir()]


def test_what_a_killed_process_left_is_no_hindrance(tmp_path: Path) -> None:
    with replacing(tmp_path / "first") as temporary:
        temporary.touch()
    left = tmp_path / temporary.parent.name.replace("first", "views") / "views"
    (left / "half").mkdir(parents=True)
    with replacing(tmp_path / "views") as temporary:
        assert temporary == left
        assert not temporary.exists()
        temporary.mkdir()
        # Libraries write beside it first; that goes with its folder.
        temporary.with_name(".tmpA1b2C3").touch()
    assert not [*(tmp_path / "views").iterdir()]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "views"]


def test_folders_are_named_one_by_one_or_together() -> None:
    assert as_folders("a") == as_folders(Path("a")) == as_folders(["a"]) == (Path("a"),)
    assert as_folders(("a", Path("b"))) == (Path("a"), Path("b"))
    assert as_folders(()) == ()


class LibraryError(Exception):
    """As PyAV's and others': the system's error with a class of the library."""

    def __init__(self, number: int) -> None:
        super().__init__("it failed")
        self.errno = number


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        LibraryError(errno.ENOSPC),
        RuntimeError("Error while serializing: I/O error: No space left (os error 28)"),
        OSError("12345 requested and 67 written"),
    ],
)
def test_errors_of_the_system_name_the_file_that_is_written(tmp_path: Path, error: Exception) -> None:
    def write() -> None:
        with replacing(tmp_path / "model") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(OSError, match="No space left on device") as caught:
        write()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "model"))
    assert not list(tmp_path.iterdir())


def test_the_temporary_file_is_not_named_and_another_one_is(tmp_path: Path) -> None:
    def write(name: str) -> None:
        with replacing(tmp_path / "model") as temporary:
            (temporary if name == "temporary" else tmp_path / name).read_bytes()

    for name, named in (("temporary", "model"), ("other", "other")):
        with pytest.raises(FileNotFoundError) as caught:
            write(name)
        assert caught.value.filename == str(tmp_path / named) or caught.value.filename == tmp_path / named


def test_errors_that_are_not_the_systems_stay_as_they_are(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "model"):
            raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        write()


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_files_have_the_permissions_of_new_ones(tmp_path: Path, mask: int) -> None:
    """Weights as well, which their library makes for the user alone."""
    before = os.umask(mask)
    try:
        save_tensors(tmp_path / "weights.safetensors", {"a": torch.zeros(2)}, {})
        with replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / "private").touch(mode=0o600)
        write_json(tmp_path / "text.json", {})
    finally:
        os.umask(before)
    for name in ("weights.safetensors", "folder/private", "text.json"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o666 & ~mask, name


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    dead = 2**22 + 1  # Above the largest number that Linux gives.
    left = [tmp_path / f".model.safetensors.{dead}.tmp", tmp_path / "inner" / f".{dead}.tmp"]
    living = tmp_path / f".video.mp4.{os.getppid()}.tmp"
    others = [tmp_path / "notes.12.tmp", tmp_path / ".lock", tmp_path / "inner" / ".tmp", living]
    locked = tmp_path / "locked" / f".a.{dead}.tmp"
    for path in (*left, *others, locked):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    (tmp_path / f".cache.{dead}.tmp").mkdir()
    (tmp_path / f".cache.{dead}.tmp" / "views").touch()
    remove_leftovers(tmp_path, unless=lambda folder: folder.name == "locked")
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted([*others, locked])
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()].count("inner") == 1


def test_json_of_absurd_size_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    assert read_json(path) == {}
    os.truncate(path, MAX_JSON_BYTES + 1)
    with pytest.raises(
        InputError, match=rf"config\.json: has {MAX_JSON_BYTES + 1} bytes; expected JSON of at most"
    ):
        read_json(path)
