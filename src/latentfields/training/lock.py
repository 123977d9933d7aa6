"""One process at a time works in a run's folder: a file there names it, and its death frees the folder."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from latentfields.errors import InputError
from latentfields.files import naming, process_runs, remove_leftovers

if sys.platform != "win32":
    import fcntl

LOCK_FILE = ".lock"
"""In the folder while it is worked in: {"pid", "host"} of the process; what a killed one left means nothing."""

_POLL_SECONDS = 0.5

_held: set[Path] = set()  # The system's locks are of processes, and do not tell its threads apart.


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder`, which is made as needed, for the time of a `with` block.

    The system ends the lock with the process that holds it, however that ends. Where a file system knows no locks, a
    process of this host that runs keeps others out. What killed processes left half-written there is removed. Raises
    InputError, naming the process, when another one works there, and OSError when the folder cannot be written to.
    """
    path = folder / LOCK_FILE
    place = path.resolve()
    if place in _held:
        raise InputError(folder, "is worked in by this process already; wait until that ends")
    missing = next((parent for parent in (*reversed(folder.parents), folder) if not parent.exists()), None)
    folder.mkdir(parents=True, exist_ok=True)
    handle = _opened(folder, path)
    _held.add(place)
    try:
        with naming(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        # Folders with a lock of their own are cleaned by who takes it.
        remove_leftovers(folder, unless=lambda inner: (inner / LOCK_FILE).exists())
        yield
    finally:
        _held.discard(place)
        # Removed while it is held: whoever waits for it looks again.
        path.unlink(missing_ok=True)
        os.close(handle)
        _remove_empty(folder, missing)


def tidy(folder: Path) -> None:
    """Remove what killed processes left in `folder`, where it can be written to and nobody works there."""
    with suppress(InputError, OSError), locked(folder):
        pass


def wait_until_free(folder: Path, *, seconds: float) -> None:
    """Wait, so long at most, until no other process works in `folder`."""
    end = time.monotonic() + seconds
    while (folder / LOCK_FILE).exists() and time.monotonic() < end:
        try:
            with locked(folder):
                return
        except InputError:
            time.sleep(_POLL_SECONDS)


def _opened(folder: Path, path: Path) -> int:
    """The open lock file, held by this process."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            if not _taken(handle):
                raise InputError(folder, f"{_owner(path)} works there ({path}); wait for it, or end it")
            try:
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
            except FileNotFoundError:
                pass  # Its owner was about to remove it.
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _taken(handle: int) -> bool:
    """True when this process holds the lock now."""
    if sys.platform != "win32":
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            return not _runs_here(os.pread(handle, 4096, 0))
    return True


def _runs_here(content: bytes) -> bool:
    """True when the lock file's content names a process of this host that runs."""
    try:
        about = json.loads(content)
        return about["host"] == socket.gethostname() and process_runs(int(about["pid"]))
    except (ValueError, KeyError, TypeError):
        return False


def _owner(path: Path) -> str:
    try:
        about = json.loads(path.read_bytes())
        return f"process {about['pid']} on {about['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _remove_empty(folder: Path, first: Path | None) -> None:
    """Remove the folders from `first` down to `folder` that were made and never filled."""
    while first is not None and folder.is_relative_to(first):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
