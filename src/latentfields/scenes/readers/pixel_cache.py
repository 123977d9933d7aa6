"""Photographs that were shrunk, kept for the next time: decoding them is most of the time that a capture takes to read.

They are kept in the user's cache folder, for every command that reads the same files the same way. An entry's name is
a hash of all that its pixels depend on; of files that is what the system says of them. All take at most `MAX_BYTES`:
those that were not used for the longest time make room.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import PIL
import torch
from torch import Tensor

import latentfields
from latentfields.files import is_temporary, remove, replacing
from latentfields.scenes.readers.capture import Capture, PosedImage
from latentfields.scenes.readers.decoding import Decoded, PixelPlan, decode_views, read_pixels

CACHE_VARIABLE = "LATENTFIELDS_CACHE"
"""Environment variable with the folder to keep things in; empty: nothing is kept."""
MAX_BYTES = 8 * 2**30
"""Of all entries together; a single one takes at most half of it."""
WORTHWHILE_PIXELS = 64_000_000
"""Captures with fewer stored pixels are decoded in two or three seconds, and not kept."""
_SHRUNK = 4
"""Nor are those whose stored pixels are fewer than so many times the scene's."""
_SETTLED_SECONDS = 2.0
"""A file that changed less long ago may change again without a trace: clocks of file systems are coarse."""
_IN_USE_SECONDS = 86400.0
"""Entries that were used less long ago are not removed; half-written ones that are older were left by processes that
were killed."""
_VERSION = 1
"""To be raised when the same files give other pixels."""


def cached_pixels(capture: Capture, plan: PixelPlan, *, ignore: bool) -> Decoded:
    """As `read_pixels`, from the cache where it has the same files read the same way; large captures are put there.

    What is in the cache takes no memory until it is looked at, and then as much as the system has to spare.
    """
    folder = _folder()
    if folder is None or not _is_worthwhile(capture, plan):
        return read_pixels(capture, plan, ignore=ignore)
    began = time.time()
    files = _files_of(capture.views)
    entry = folder / f"{_key(capture, plan, files, ignore=ignore)}.npy"
    kept = _read_entry(entry, len(capture.views), plan)
    settled = began - _last_change(files) > _SETTLED_SECONDS
    if kept is None and settled and _has_room(folder, _bytes(capture, plan)):
        try:
            entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(entry, durable=True) as temporary:
                _write_entry(temporary, capture, plan, ignore=ignore)
                if files != _files_of(capture.views):
                    raise _ChangedMeanwhile
            kept = _read_entry(entry, len(capture.views), plan)
        except _ChangedMeanwhile:
            pass
        except OSError as error:
            warnings.warn(
                f"{folder}: shrunk pictures are not kept for the next time ({error.strerror})", stacklevel=2
            )
    return read_pixels(capture, plan, ignore=ignore) if kept is None else kept


class _ChangedMeanwhile(Exception):
    """Files of a capture changed while they were read."""


def _folder() -> Path | None:
    """Where entries are; None where nothing is to be kept, or no place for it is known."""
    named = os.environ.get(CACHE_VARIABLE)
    if named is not None:
        return Path(named) / "pictures" if named else None
    users = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(users) if Path(users).is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # No home is known.
        return None
    return root / "latentfields" / "pictures"


def _is_worthwhile(capture: Capture, plan: PixelPlan) -> bool:
    stored = sum(view.lens.width * view.lens.height for view in capture.views)
    shown = len(capture.views) * plan.width * plan.height
    return stored >= max(WORTHWHILE_PIXELS, _SHRUNK * shown) and _bytes(capture, plan) <= MAX_BYTES // 2


def _bytes(capture: Capture, plan: PixelPlan) -> int:
    """What an entry takes at most: three bytes a pixel, one more each of alpha and of what is ignored."""
    return 5 * len(capture.views) * plan.width * plan.height


FileState = tuple[str, int, int, int, int]
"""Name, number, size in bytes, and when it was written and changed in any way, in nanoseconds."""


def _files_of(views: Sequence[PosedImage]) -> list[FileState]:
    """The state of every file that pixels are read from; links are those that they lead to."""
    states = []
    for file in (file for view in views for file in (view.image, view.mask) if file is not None):
        try:
            state = file.stat()
        except OSError:
            states.append((str(file), 0, 0, 0, time.time_ns()))  # Reading says what is wrong.
            continue
        states.append((str(file), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    return states


def _last_change(files: Sequence[FileState]) -> float:
    """Seconds since the epoch."""
    return max(max(written, changed) for _, _, _, written, changed in files) / 1e9


def _key(capture: Capture, plan: PixelPlan, files: Sequence[FileState], *, ignore: bool) -> str:
    depends_on = {
        "versions": [
            _VERSION,
            latentfields.__version__,
            PIL.__version__,
            torch.__version__,
        ],
        "files": files,
        "masked": [view.mask is not None for view in capture.views],
        "lenses": [asdict(view.lens) for view in capture.views],
        "turned": [view.turned for view in capture.views],
        "plan": asdict(plan),
        "ignore": ignore,
    }
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


def _read_entry(entry: Path, views: int, plan: PixelPlan) -> Decoded | None:
    """What is kept in an entry, or None when there is nothing that fits; it counts as used then."""
    shape = (plan.height, plan.width)
    try:
        with entry.open("rb") as file:
            pixels = torch.from_numpy(_mapped(file, (views, 3, *shape)))
            alpha, ignored = (torch.from_numpy(np.load(file, allow_pickle=False)) for _ in range(2))
        os.utime(entry)
    except (OSError, ValueError, EOFError):
        return None
    for planes, dtype in ((alpha, torch.uint8), (ignored, torch.bool)):
        if planes.shape not in ((0,), (views, 1, *shape)) or planes.dtype != dtype:
            return None
    return Decoded(pixels, alpha=_or_none(alpha), ignored=_or_none(ignored))


def _mapped(file: BinaryIO, expected: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The array that begins here, read from the file where and when it is looked at; then the file is behind it.

    Raises ValueError or EOFError when it is another one.
    """
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if shape != expected or dtype != np.uint8:
        raise ValueError
    # What is written to the array stays in memory.
    start = file.tell()
    array = np.memmap(file, dtype=np.uint8, mode="c", offset=start, shape=shape)
    file.seek(start + array.nbytes)
    return array


def _or_none(planes: Tensor) -> Tensor | None:
    return planes if len(planes) else None


def _write_entry(path: Path, capture: Capture, plan: PixelPlan, *, ignore: bool) -> None:
    """Decode a capture into a file, a few pictures in memory at a time. Raises OSError when it cannot be written."""
    shape = (len(capture.views), 3, plan.height, plan.width)
    picture = 3 * plan.height * plan.width
    lock = threading.Lock()
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()

        def keep(index: int, colors: Tensor) -> None:
            with lock:
                file.seek(start + index * picture)
                file.write(colors.contiguous().numpy().data)

        alpha, ignored = decode_views(capture, plan, keep, ignore=ignore)
        file.seek(start + len(capture.views) * picture)
        for planes, dtype in ((alpha, np.uint8), (ignored, np.bool_)):
            np.save(file, np.empty(0, dtype) if planes is None else planes.numpy(), allow_pickle=False)


def _has_room(folder: Path, needed: int) -> bool:
    """True when so many bytes may be added, once others are removed: what processes that were killed left, and those
    entries that were not used for longest. Ones that were used lately stay: they may be looked at.
    """
    entries: list[tuple[float, int, Path]] = []
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            state = path.stat()
            old = time.time() - state.st_mtime > _IN_USE_SECONDS
            if path.suffix == ".npy":
                entries.append((state.st_mtime if old else math.inf, state.st_size, path))
            elif is_temporary(path) and old:
                remove(path)
        except OSError:  # Another process has removed it, or uses it.
            continue
    left = sum(size for _, size, _ in entries) + needed
    for used, size, path in sorted(entries):
        if left <= MAX_BYTES or used == math.inf:
            break
        with suppress(OSError):
            path.unlink()
            left -= size
    return left <= MAX_BYTES
