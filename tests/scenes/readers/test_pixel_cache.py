"""Photographs that were shrunk are kept for the next time, as long as they are what would be read again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.layouts import LAYOUTS
from latentfields.scenes.load import load_scene
from latentfields.scenes.readers import pixel_cache
from latentfields.scenes.readers.decoding import Decoded
from latentfields.scenes.scene import Scene


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return LAYOUTS["nerfstudio"](tmp_path / "scene")


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A cache for small captures; the list gets an entry for every capture that is decoded."""
    monkeypatch.setenv(pixel_cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(pixel_cache, "WORTHWHILE_PIXELS", 1000)
    monkeypatch.setattr(pixel_cache, "_SETTLED_SECONDS", -1.0)
    decoded: list[bool] = []
    read = pixel_cache.read_pixels

    def counted(*arguments: object, ignore: bool) -> Decoded:
        decoded.append(ignore)
        return read(*arguments, ignore=ignore)  # type: ignore[arg-type]

    monkeypatch.setattr(pixel_cache, "read_pixels", counted)
    return decoded


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").rglob("*.npy"))


def same(first: Scene, second: Scene) -> bool:
    return all(
        (a is None and b is None) or (a is not None and b is not None and torch.equal(a, b))
        for a, b in (
            (first.pixels, second.pixels),
            (first.alpha, second.alpha),
            (first.ignored, second.ignored),
        )
    )


def test_pictures_are_decoded_once(folder: Path, tmp_path: Path, reads: list[bool]) -> None:
    first, second = load_scene(folder, max_size=8), load_scene(folder, max_size=8)
    assert len(reads) == len(entries(tmp_path)) == 1
    assert first.alpha is not None
    assert same(first, second)


def masked(folder: Path) -> None:
    (folder / "masks").mkdir()
    for picture in (folder / "images").iterdir():
        shown = np.full((32, 32), 255, np.uint8)
        shown[:, :9] = 0
        Image.fromarray(shown).save(folder / "masks" / f"{picture.name}.png")


def test_what_masks_leave_out_is_kept_too(folder: Path, reads: list[bool]) -> None:
    masked(folder)
    first, second = (load_scene(folder, max_size=8, masks="ignore") for _ in range(2))
    assert len(reads) == 1
    assert first.ignored is not None
    assert same(first, second)
    assert load_scene(folder, max_size=8).ignored is None
    assert len(reads) == 2


def overwritten(folder: Path) -> None:
    """Other pixels in a file of the same name, size and time of writing."""
    file = min((folder / "images").iterdir())
    before = file.stat()
    with Image.open(file) as picture:
        Image.fromarray(255 - np.asarray(picture)).save(file)
    with file.open("ab") as handle:
        handle.truncate(before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def another_lens(folder: Path) -> None:
    file = folder / "transforms.json"
    file.write_text(file.read_text().replace('"frames"', '"k1": 0.05, "frames"'))


@pytest.mark.parametrize("change", [masked, overwritten, another_lens])
def test_nothing_old_is_read(folder: Path, reads: list[bool], change: Callable[[Path], None]) -> None:
    load_scene(folder, max_size=8)
    change(folder)
    load_scene(folder, max_size=8)
    assert len(reads) == 2


def test_another_size_is_another_entry(folder: Path, tmp_path: Path, reads: list[bool]) -> None:
    assert [load_scene(folder, max_size=size).size for size in (8, 10, 8)] == [(8, 8), (10, 10), (8, 8)]
    assert len(reads) == len(entries(tmp_path)) == 2


def test_files_that_have_just_changed_are_not_trusted(
    folder: Path, tmp_path: Path, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixel_cache, "_SETTLED_SECONDS", 60.0)
    load_scene(folder, max_size=8)
    assert reads
    assert not entries(tmp_path)


def test_small_captures_and_those_that_are_not_shrunk_are_not_kept(
    folder: Path, tmp_path: Path, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_scene(folder)
    monkeypatch.setattr(pixel_cache, "WORTHWHILE_PIXELS", 20_000)
    load_scene(folder, max_size=8)
    assert len(reads) == 2
    assert not entries(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no picture"])
def test_damaged_entries_are_written_again(
    folder: Path, tmp_path: Path, reads: list[bool], damage: bytes
) -> None:
    first = load_scene(folder, max_size=8)
    (entry,) = entries(tmp_path)
    entry.write_bytes(damage)
    assert same(first, load_scene(folder, max_size=8))
    assert same(first, load_scene(folder, max_size=8))
    assert len(reads) == 2


def test_the_ones_not_used_for_longest_make_room(
    folder: Path, tmp_path: Path, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_scene(folder, max_size=8)
    (entry,) = entries(tmp_path)
    left = entry.with_name(".of-a-killed-process.tmp")
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    other = folder.rename(folder.with_name("moved"))
    monkeypatch.setattr(pixel_cache, "MAX_BYTES", 5 * entry.stat().st_size // 2)
    load_scene(other, max_size=8)
    old = time.time() - 100
    for age, file in enumerate(entries(tmp_path)):
        os.utime(file, (old - age, old - age))
    # The older one is used again, so that the younger one has to go.
    used = entries(tmp_path)[1]
    again = other if used != entry else other.rename(folder)
    load_scene(again, max_size=8)
    load_scene(again, max_size=7)
    assert len(entries(tmp_path)) == 2
    assert used in entries(tmp_path)
    assert not left.exists()


def test_nothing_is_kept_where_nothing_shall_be(
    folder: Path, tmp_path: Path, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pixel_cache.CACHE_VARIABLE, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_scene(folder, max_size=8)
    assert not entries(tmp_path)
    monkeypatch.delenv(pixel_cache.CACHE_VARIABLE)
    load_scene(folder, max_size=8)
    assert entries(tmp_path)[0].parent == tmp_path / "cache" / "latentfields" / "pictures"


def test_a_place_that_cannot_be_written_is_said(folder: Path, tmp_path: Path, reads: list[bool]) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.warns(UserWarning, match="cache.*: shrunk pictures are not kept for the next time"):
        assert load_scene(folder, max_size=8).size == (8, 8)
