"""Files that are never seen half written, and JSON."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from latentfields.errors import InputError

Folders = str | Path | Sequence[str | Path]
"""One folder, or several."""


def as_folders(folders: Folders) -> tuple[Path, ...]:
    """The folder, or folders, as paths."""
    return (Path(folders),) if isinstance(folders, str | Path) else tuple(map(Path, folders))


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write to; on success it becomes `path` in one step, on an error it is removed.

    It has the same name in a folder of its own, for libraries that write beside it first. What is written there is a
    file, or a folder where there is none yet. Folders above are made as needed. Whoever reads `path` meanwhile sees the
    old file or the new one, whole. With `durable` the bytes of a file reach the disk before the new name does, so that
    a power cut cannot leave an empty file either.
    """
    folder = temporary_folder(path)
    temporary = folder / path.name
    with naming(path, instead_of=folder):
        remove(folder)
        folder.mkdir(parents=True)
        try:
            yield temporary
            _as_usual(temporary)
            if durable:
                with open(temporary, "rb") as handle:
                    os.fsync(handle.fileno())
            os.replace(temporary, path)
        finally:
            remove(folder)


def temporary_folder(path: Path) -> Path:
    """Where this process prepares what is to be `path`: beside it, with a name that `remove_leftovers` knows."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


_TEMPORARY = re.compile(r"\.(?:.+\.)?\d+\.tmp")


def remove_leftovers(folder: Path, *, unless: Callable[[Path], bool]) -> None:
    """Remove what killed processes left half-written in `folder` and below it, not in folders where `unless` is true.

    Nobody else may be writing there. What belongs to a process of this host that runs is left alone all the same.
    """
    for path in sorted(folder.iterdir()):
        if is_temporary(path):
            if not process_runs(int(path.name.split(".")[-2])):
                remove(path)
        elif path.is_dir() and not path.is_symlink() and not unless(path):
            remove_leftovers(path, unless=unless)


def is_temporary(path: Path) -> bool:
    """True for names under which files and folders are written before they get their own."""
    return _TEMPORARY.fullmatch(path.name) is not None


def process_runs(number: int) -> bool:
    """True when this host has another process of that number."""
    try:
        os.kill(number, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return number != os.getpid()


@contextmanager
def naming(path: Path, *, instead_of: Path | None = None) -> Iterator[None]:
    """Let errors of the system that name no file, or the file `instead_of` or what is below it, name `path`.

    Writing to a full disk is such an error, and libraries have exceptions of their own for it, which say as much in
    `errno` or in their text; they become OSError.
    """
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        if number is None:
            raise
        named = getattr(error, "filename", None)
        if isinstance(error, OSError) and named is not None:
            inside = instead_of is not None and Path(str(named)).is_relative_to(instead_of)
            if not inside:
                raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _system_error(error: Exception) -> int | None:
    """The number of the system's error that an exception stands for, if it stands for one."""
    number = getattr(error, "errno", None)
    if isinstance(number, int) and number in errno.errorcode:
        return number
    in_text = re.search(r"\(os error (\d+)\)", str(error))
    if in_text is not None and int(in_text[1]) in errno.errorcode:
        return int(in_text[1])
    # NumPy counts what it could not write, and keeps the reason to itself.
    return errno.ENOSPC if isinstance(error, OSError) and "requested and" in str(error) else None


def _as_usual(path: Path) -> None:
    """Give files the permissions that new ones have: libraries that write weights make them for the user alone."""
    # There is no other way to ask for the mask; whatever a thread makes meanwhile is private, not public.
    mask = os.umask(0o077)
    os.umask(mask)
    for file in path.rglob("*") if path.is_dir() else (path,):
        if file.is_file() and not file.is_symlink():
            file.chmod(0o666 & ~mask)


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically. Raises InputError for NaN and infinity, which JSON does not have."""
    try:
        text = json.dumps(value, indent=2, allow_nan=False)
    except ValueError:
        raise InputError(path, "is not written, as it would hold a number that is not finite") from None
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


MAX_JSON_BYTES = 2**26
"""Larger files are no JSON that this package has anything to do with; read, they take up to 25 times as much memory."""


def json_text(path: Path, *, encoding: str = "utf-8") -> str:
    """The text of a JSON file. Raises InputError, naming the file, when it has more than MAX_JSON_BYTES.

    Raises OSError where it cannot be read, and UnicodeDecodeError where it is no text.
    """
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise InputError(path, f"has {size} bytes; expected JSON of at most {MAX_JSON_BYTES}")
    return path.read_text(encoding=encoding)


def read_json(path: Path) -> Any:
    """Read JSON. Raises InputError naming the file when it is absent, malformed or above MAX_JSON_BYTES."""
    try:
        return json.loads(json_text(path))
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(path, "no such file") from None
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # Not UTF-8, no JSON, a number or a nesting without end.
        raise InputError(path, f"malformed JSON ({error})") from None
