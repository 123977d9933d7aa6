"""Photographs that were shrunk, kept for the next time: decoding them is most of the time that a capture takes to read.

They are kept in the user's cache folder, for every command that reads the same files the same way. An entry's name is
a hash of all that its pixels depend on; of files that is what the system says of them. Entries that were not used for
the longest time are removed when all take more than `MAX_BYTES`.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

import latentfields
from latentfields.files import replacing
from latentfields.scenes.readers.capture import Capture, PosedImage
from latentfields.scenes.readers.decoding import Decoded, PixelPlan, read_pixels

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
_ABANDONED_SECONDS = 86400.0
"""Half-written entries that are older were left by processes that were killed."""
_VERSION = 1
"""To be raised when the same files give other pixels."""


def cached_pixels(capture: Capture, plan: PixelPlan, *, ignore: bool) -> Decoded:
    """As `read_pixels`, from the cache where it has the same files read the same way; large captures are put there."""
    folder = _folder()
    if folder is None or not _is_worthwhile(capture, plan):
        return read_pixels(capture, plan, ignore=ignore)
    began = time.time()
    files = _files_of(capture.views)
    entry = folder / f"{_key(capture, plan, files, ignore=ignore)}.npy"
    kept = _read_entry(entry, len(capture.views), plan)
    if kept is not None:
        return kept
    decoded = read_pixels(capture, plan, ignore=ignore)
    unchanged = files == _files_of(capture.views)
    if unchanged and began - _last_change(files) > _SETTLED_SECONDS:
        _write_entry(entry, decoded)
    return decoded


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
    # Three bytes a pixel, one more each of alpha and of what is ignored.
    return stored >= max(WORTHWHILE_PIXELS, _SHRUNK * shown) and 5 * shown <= MAX_BYTES // 2


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
    try:
        with entry.open("rb") as file:
            pixels, alpha, ignored = (torch.from_numpy(np.load(file, allow_pickle=False)) for _ in range(3))
        os.utime(entry)
    except (OSError, ValueError, EOFError):
        return None
    shape = (plan.height, plan.width)
    if pixels.shape != (views, 3, *shape) or pixels.dtype != torch.uint8:
        return None
    for planes, dtype in ((alpha, torch.uint8), (ignored, torch.bool)):
        if planes.shape not in ((0,), (views, 1, *shape)) or planes.dtype != dtype:
            return None
    return Decoded(pixels, alpha=_or_none(alpha), ignored=_or_none(ignored))


def _or_none(planes: Tensor) -> Tensor | None:
    return planes if len(planes) else None


def _write_entry(entry: Path, decoded: Decoded) -> None:
    """Keep an entry, and remove others where that makes too much. Where it cannot be written a warning says so."""
    none = torch.empty(0)
    planes = (
        decoded.pixels,
        none.to(torch.uint8) if decoded.alpha is None else decoded.alpha,
        none.to(torch.bool) if decoded.ignored is None else decoded.ignored,
    )
    try:
        entry.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(entry, durable=True) as temporary, temporary.open("wb") as file:
            for plane in planes:
                np.save(file, plane.numpy(), allow_pickle=False)
        _make_room(entry.parent)
    except OSError as error:
        warnings.warn(
            f"{entry.parent}: shrunk pictures are not kept for the next time ({error.strerror})", stacklevel=2
        )


def _make_room(folder: Path) -> None:
    """Remove what processes that were killed left, then entries, those first that were not used for longest."""
    entries: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        try:
            state = path.stat()
            if path.suffix == ".npy":
                entries.append((state.st_mtime, state.st_size, path))
            elif path.suffix == ".tmp" and time.time() - state.st_mtime > _ABANDONED_SECONDS:
                path.unlink()
        except FileNotFoundError:  # Another process has removed it.
            continue
    left = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if left <= MAX_BYTES:
            break
        path.unlink(missing_ok=True)
        left -= size
