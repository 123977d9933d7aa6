"""Photographs that were shrunk are kept for the next time, as long as they are what would be read again."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.layouts import LAYOUTS
from latentfields.scenes.load import load_scene
from latentfields.scenes.readers import decoding, pixel_cache
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
    decode = decoding.decode_views

    def counted(*arguments: object, ignore: bool) -> object:
        decoded.append(ignore)
        return decode(*arguments, ignore=ignore)  # type: ignore[arg-type]

    for module in (decoding, pixel_cache):
        monkeypatch.setattr(module, "decode_views", counted)
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no picture"])
def test_damaged_entries_are_written_again(
    folder: Path, tmp_path: Path, reads: list[bool], damage: bytes
) -> None:
    first = load_scene(folder, max_size=8)
    (entry,) = entries(tmp_path)
    # Not in place: the first scene looks at what was there.
    entry.unlink()
    entry.write_bytes(damage)
    assert same(first, load_scene(folder, max_size=8))
    assert same(first, load_scene(folder, max_size=8))
    assert len(reads) == 2


@pytest.mark.slow
def test_the_ones_not_used_for_longest_make_room(
    folder: Path, tmp_path: Path, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (6, 7, 8):
        load_scene(folder, max_size=size)
    by_size = {entry.stat().st_size: entry for entry in entries(tmp_path)}
    small, middle, large = (by_size[size] for size in sorted(by_size))
    left = small.with_name(".of-a-killed-process.1.tmp")
    left.write_bytes(b"half")
    now = time.time()
    for days, path in ((3, small), (2, middle), (0, large), (2, left)):
        os.utime(path, (now - days * 86500, now - days * 86500))
    load_scene(folder, max_size=6)
    # Enough for another one of five bytes a pixel if one of those goes: the one that was not used again.
    monkeypatch.setattr(pixel_cache, "MAX_BYTES", sum(by_size) + 5 * 12 * 81 - 1)
    load_scene(folder, max_size=9)
    assert small in entries(tmp_path)
    assert middle not in entries(tmp_path)
    assert len(entries(tmp_path)) == 3
    assert not left.exists()
    # All that are left were used today.
    assert load_scene(folder, max_size=10).size == (10, 10)
    assert len(entries(tmp_path)) == 3


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


def test_what_changes_while_it_is_read_is_not_kept(
    folder: Path, tmp_path: Path, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = pixel_cache._write_entry

    def slowly(path: Path, *arguments: object, ignore: bool) -> None:
        write(path, *arguments, ignore=ignore)  # type: ignore[arg-type]
        overwritten(folder)

    monkeypatch.setattr(pixel_cache, "_write_entry", slowly)
    scene = load_scene(folder, max_size=8)
    assert not entries(tmp_path)
    assert len(reads) == 2
    monkeypatch.setattr(pixel_cache, "_write_entry", write)
    assert same(scene, load_scene(folder, max_size=8))


def test_a_full_disk_costs_no_fit(
    folder: Path, tmp_path: Path, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("numpy.save", full)
    with pytest.warns(UserWarning, match="pictures: shrunk pictures are not kept .*No space left"):
        assert load_scene(folder, max_size=8).size == (8, 8)
    assert not list((tmp_path / "cache" / "pictures").iterdir())


def test_pictures_take_no_memory_before_they_are_looked_at(
    folder: Path, reads: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    maps: list[np.memmap[Any, Any]] = []
    memmap = np.memmap

    def mapped(*arguments: Any, **options: Any) -> np.memmap[Any, Any]:
        maps.append(memmap(*arguments, **options))
        return maps[-1]

    monkeypatch.setattr("numpy.memmap", mapped)
    pixels = [load_scene(folder, max_size=8).pixels for _ in range(2)]
    assert [part.data_ptr() for part in pixels] == [array.ctypes.data for array in maps]
    # And whoever changes them changes them for himself.
    pixels[0].zero_()
    assert pixels[1].any()
    assert load_scene(folder, max_size=8).pixels.any()


def test_a_place_that_cannot_be_written_is_said(folder: Path, tmp_path: Path, reads: list[bool]) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.warns(UserWarning, match="cache.*: shrunk pictures are not kept for the next time"):
        assert load_scene(folder, max_size=8).size == (8, 8)
