"""Scenes in tar files, read without unpacking: a shard is a folder of scenes that is one file, here or elsewhere.

`located` makes a path of what a shard holds, `data/shard-00000.tar/vases-0003`, one that can be read like any other:
readers of scenes know nothing of shards. What is read is found by an index of offsets: in SHARD.tar.index.json beside
the shard, or made by reading its headers.

A shard has the layout of webdataset: the files of a scene follow each other, and are called after it up to the first
dot, `vases-0003.transforms_train.json`, so that each scene is a sample. Slashes in the names of files, and dots in
those of scenes, are written as in URLs: `vases-0003.train%2Fr_0.png`. Shards of folders, as tar makes them,
`vases-0003/train/r_0.png`, are read as well.

Shards elsewhere have the URLs that fsspec knows, such as s3://bucket/shard-00000.tar.
"""

from __future__ import annotations

import errno
import functools
import importlib
import io
import json
import os
import posixpath
import re
import stat
import tarfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PosixPath
from typing import IO, Any, BinaryIO, TypeVar
from urllib.parse import quote, unquote

from latentfields.errors import InputError
from latentfields.files import MAX_JSON_BYTES, read_json, replacing

T = TypeVar("T")

SUFFIX = ".tar"
INDEX_SUFFIX = ".index.json"
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+:")
"""The beginning of URLs; what is before the colon has two letters or more, unlike that of Windows' drives."""
_BLOCK = tarfile.BLOCKSIZE
_LARGEST = 2**32
"""Bytes of a file in a shard; longer ones are no part of a scene."""


def located(path: Path) -> Path:
    """`path`, as one that can be read where it is a shard, or leads into one; any other is itself."""
    return ShardPath(path) if not isinstance(path, ShardPath) and _split(path) is not None else path


def is_shard(path: Path) -> bool:
    """True for shards themselves."""
    place = _split(path)
    return place is not None and not place[1]


def is_remote(path: Path) -> bool:
    """True for paths that were written as a URL."""
    return len(path.parts) > 1 and _REMOTE.fullmatch(path.parts[0]) is not None


def remote_shards(folder: Path) -> list[Path]:
    """The shards in a folder elsewhere, sorted. Raises InputError when it cannot be looked at."""
    system, place = _system(_url(folder.parts))
    found = _asked(folder, lambda: system.glob(f"{place.rstrip('/')}/*{SUFFIX}"))
    return [ShardPath(folder / posixpath.basename(name)) for name in sorted(found)]


class ShardPath(PosixPath):
    """A place in a shard, which is read as if the shard were a folder. Nothing can be written there."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """The state of a file in the shard, of the shard's number and times; or that of a folder."""
        archive, index, inner = self._found()
        if inner in index.files:
            size, kind = index.files[inner].size, stat.S_IFREG | 0o444
        elif inner in index.folders:
            size, kind = 0, stat.S_IFDIR | 0o555
        else:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        number, written, changed = archive.state()[1:]
        times = (written // 10**9,) * 2 + (changed // 10**9,)
        nanoseconds = {"st_atime_ns": written, "st_mtime_ns": written, "st_ctime_ns": changed}
        return os.stat_result((kind, number, 0, 1, 0, 0, size, *times), nanoseconds)

    def exists(self, **options: Any) -> bool:
        """True for files and folders."""
        return self.is_file() or self.is_dir()

    def is_file(self, **options: Any) -> bool:
        """True for files in the shard."""
        _, index, inner = self._found()
        return inner in index.files

    def is_dir(self, **options: Any) -> bool:
        """True for the shard itself, and for folders in it."""
        _, index, inner = self._found()
        return inner in index.folders

    def is_symlink(self) -> bool:
        """False: shards have no links."""
        return False

    def iterdir(self) -> Generator[ShardPath, None, None]:
        """What is in a folder, sorted."""
        _, index, inner = self._found()
        if inner not in index.folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return (self / name for name in index.folders[inner])

    def glob(self, pattern: str, **options: Any) -> Iterator[ShardPath]:  # type: ignore[override]
        """What in a folder is called so; the pattern is that of one name."""
        return (
            child for child in (self.iterdir() if self.is_dir() else ()) if fnmatchcase(child.name, pattern)
        )

    def rglob(self, pattern: str, **options: Any) -> Iterator[ShardPath]:  # type: ignore[override]
        """What in and below a folder is called so."""
        for child in self.iterdir() if self.is_dir() else ():
            if fnmatchcase(child.name, pattern):
                yield child
            yield from child.rglob(pattern)

    def resolve(self, strict: bool = False) -> ShardPath:
        """The whole path, that of the shard without links. One that leads out of the shard can be read no more."""
        place = _split(self)
        if place is None:
            return ShardPath(os.path.normpath(self))
        archive, inner = place
        root = archive.path if archive.remote else archive.path.resolve()
        return ShardPath(os.path.normpath(root.joinpath(*inner)))

    def read_bytes(self) -> bytes:
        """The content of a file in the shard. Raises InputError when the shard is not what its index says."""
        archive, index, inner = self._found()
        if inner not in index.files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return archive.read(index.files[inner])

    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """A file in the shard, as bytes or text, in memory."""
        if set(mode) - set("rbt"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))
        content = io.BytesIO(self.read_bytes())
        return content if "b" in mode else io.TextIOWrapper(content, encoding or "utf-8", errors, newline)

    def read_text(
        self, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> str:
        """The text of a file in the shard."""
        with self.open(encoding=encoding, errors=errors, newline=newline) as file:
            text: str = file.read()
            return text

    def _found(self) -> tuple[_Archive, _Index, str]:
        """The shard, its index, and the path in it. Raises FileNotFoundError for a path that leads nowhere."""
        place = _split(self)
        if place is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        archive, inner = place
        return archive, archive.index(), "/".join(inner)


@dataclass(frozen=True)
class _Member:
    """A file in a shard."""

    offset: int
    """Of its first byte."""
    size: int


@dataclass(frozen=True)
class _Index:
    """What is where in a shard."""

    files: Mapping[str, _Member]
    """By their paths."""
    folders: Mapping[str, tuple[str, ...]]
    """Names of what is in each, by its path, which is empty for the shard itself."""


@dataclass(frozen=True)
class _Archive:
    """A tar file, here or elsewhere."""

    path: Path
    remote: bool

    def index(self) -> _Index:
        """What is where, read once as long as the file is the same. Raises InputError when it is no shard."""
        return _read_index(self, self.state())

    def state(self) -> tuple[int, int, int, int]:
        """Size in bytes, number, and when it was written and changed, in nanoseconds; elsewhere zeros."""
        if self.remote:
            return 0, 0, 0, 0
        state = self.path.stat()
        return state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns

    def read(self, member: _Member) -> bytes:
        """The content of a file. Raises InputError when there is another one, or none, at its place."""
        start, end = member.offset - _BLOCK, member.offset + member.size
        if self.remote:
            system, place = _system(_url(self.path.parts))
            content = bytes(_asked(self.path, lambda: system.cat_file(place, start=start, end=end)))
        else:
            with open(self.path, "rb") as file:
                file.seek(start)
                content = file.read(end - start)
        try:
            header = tarfile.TarInfo.frombuf(content[:_BLOCK], "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            header = None
        if header is None or header.size != member.size or len(content) != end - start:
            raise InputError(
                self.path,
                f"is not what its index says; delete {self.path.name}{INDEX_SUFFIX}, or write it again",
            )
        return content[_BLOCK:]

    def scanned(self) -> dict[str, tuple[int, int]]:
        """Offset and size of every file by its name in the tar file, from the headers."""
        try:
            with self._opened() as file, tarfile.open(fileobj=file, mode="r:") as tar:
                found = {info.name: (info.offset_data, info.size) for info in tar if info.isreg()}
                end = file.seek(0, os.SEEK_END)
        except tarfile.TarError as error:
            raise InputError(self.path, f"cannot be read as a tar file ({error})") from None
        except OSError as error:
            raise InputError(self.path, f"cannot be read ({error.strerror or error})") from None
        if any(offset + size > end for offset, size in found.values()):
            raise InputError(self.path, f"is cut short: it has {end} bytes, less than its files")
        return found

    def stored(self) -> dict[str, tuple[int, int]] | None:
        """The same from the index beside the shard; None where there is none, or one of another shard."""
        beside = self.path.with_name(self.path.name + INDEX_SUFFIX)
        if self.remote:
            system, place = _system(_url(beside.parts))
            if not _asked(beside, lambda: system.exists(place)):
                return None
            value = _parsed(beside, _asked(beside, lambda: system.cat_file(place)))
        elif not beside.is_file():
            return None
        else:
            value = read_json(beside)
            if isinstance(value, dict) and value.get("bytes") != self.path.stat().st_size:
                return None
        members = value.get("files") if isinstance(value, dict) else None
        if not isinstance(members, dict) or not all(map(_is_place, members.values())):
            raise InputError(beside, "is no index of a shard; delete it, and the shard is looked through")
        return {name: (offset, size) for name, (offset, size) in members.items()}

    def _opened(self) -> BinaryIO:
        if not self.remote:
            return open(self.path, "rb")
        system, place = _system(_url(self.path.parts))
        file: BinaryIO = _asked(self.path, lambda: system.open(place, "rb"))
        return file


def _is_place(value: Any) -> bool:
    """True for the offset and size of a file."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(number) is int for number in value)
        and value[0] >= _BLOCK
        and 0 <= value[1] <= _LARGEST
    )


def _split(path: Path) -> tuple[_Archive, tuple[str, ...]] | None:
    """The shard that a path is or leads into, and the parts of the path in it; None for any other path."""
    for number, part in enumerate(path.parts, 1):
        if part.endswith(SUFFIX):
            archive = _Archive(Path(*path.parts[:number]), is_remote(path))
            if archive.remote or archive.path.is_file():
                return archive, path.parts[number:]
    return None


@functools.lru_cache(maxsize=256)
def _read_index(archive: _Archive, state: tuple[int, int, int, int]) -> _Index:
    """The index of a shard in a `state`."""
    places = archive.stored()
    places = archive.scanned() if places is None else places
    files = {_inner_path(archive, name): _Member(*place) for name, place in places.items()}
    folders: dict[str, set[str]] = {"": set()}
    for inner in files:
        while inner:
            parent, _, name = inner.rpartition("/")
            folders.setdefault(parent, set()).add(name)
            inner = parent
    return _Index(files, {folder: tuple(sorted(names)) for folder, names in folders.items()})


def member_name(scene: str, file: str) -> str:
    """What the file of a scene is called in a shard."""
    return f"{quote(scene, safe='').replace('.', '%2E')}.{quote(file, safe='')}"


def _inner_path(archive: _Archive, name: str) -> str:
    """The path in the shard, SCENE/FILE, of a file of that name there. Raises InputError for one that leads out."""
    if "/" in name:
        path = name
    else:
        scene, _, file = name.partition(".")
        path = f"{unquote(scene)}/{unquote(file)}" if file else unquote(scene)
    inner = posixpath.normpath(path)
    if inner.startswith(("/", "..")) or inner == ".":
        raise InputError(archive.path, f"holds a file called {name[:80]!r}, which leads out of it")
    return inner


class ShardWriter:
    """Adds scenes to a shard."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        """`tar` is open for writing."""
        self._tar = tar
        self.places: dict[str, tuple[int, int]] = {}

    def add(self, scene: str, folder: Path) -> None:
        """Add the files in a folder as the scene of that name. Equal files give equal bytes."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            info = tarfile.TarInfo(member_name(scene, path.relative_to(folder).as_posix()))
            info.size = path.stat().st_size
            with open(path, "rb") as file:
                self._tar.addfile(info, file)
            end = self._tar.offset
            self.places[info.name] = end - -(-info.size // _BLOCK) * _BLOCK, info.size


@contextmanager
def writing_shard(path: Path) -> Iterator[ShardWriter]:
    """A shard to add scenes to, and its index; both appear when the block ends well, the shard in one step."""
    index = path.with_name(path.name + INDEX_SUFFIX)
    with replacing(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
            writer = ShardWriter(tar)
            yield writer
        size = temporary.stat().st_size
        # An index of the shard that was here before would be one of another.
        index.unlink(missing_ok=True)
    text = json.dumps({"bytes": size, "files": writer.places}, separators=(",", ":"))
    if len(text) <= MAX_JSON_BYTES:  # Shards of more than a million files are looked through.
        with replacing(index) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _url(parts: tuple[str, ...]) -> str:
    """The URL that a path was written as: two slashes after the scheme have become one there."""
    return f"{parts[0]}//{'/'.join(parts[1:])}"


def _system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path there. Raises InputError where what it takes is not installed."""
    try:
        fsspec = importlib.import_module("fsspec")
        system, place = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InputError(url, f"needs pip install 'latentfields[remote]' ({error})") from None
    except ValueError as error:
        raise InputError(url, f"is no URL that fsspec reads ({error})") from None
    return system, place


def _asked(path: Path, ask: Callable[[], T]) -> T:
    """What a file system elsewhere answers. Raises InputError, naming the path, when it does not."""
    try:
        return ask()
    except InputError:
        raise
    except Exception as error:  # Each of fsspec's file systems has exceptions of its own.
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(path, f"cannot be read ({detail})") from None


def _parsed(path: Path, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(path, "is no JSON") from None
