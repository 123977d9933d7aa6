"""Files and folders that are never seen half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from latentfields.files import as_folders, replacing


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
    left = temporary.with_name(temporary.name.replace("first", "views"))
    (left / "half").mkdir(parents=True)
    with replacing(tmp_path / "views") as temporary:
        assert temporary == left
        temporary.mkdir()
    assert not [*(tmp_path / "views").iterdir()]
    assert not left.exists()


def test_folders_are_named_one_by_one_or_together() -> None:
    assert as_folders("a") == as_folders(Path("a")) == as_folders(["a"]) == (Path("a"),)
    assert as_folders(("a", Path("b"))) == (Path("a"), Path("b"))
    assert as_folders(()) == ()
