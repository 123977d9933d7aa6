"""Progress bars: the usual ones in a terminal, a line every ten seconds in a log file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, TypeVar

from tqdm import tqdm

T = TypeVar("T")

WATCHED_SECONDS = 0.5
"""Seconds between updates of a bar in a terminal."""
QUIET_SECONDS = 10.0
"""Seconds between lines where nobody watches: in log files and pipes."""
SILENT_SECONDS = 2.0
"""How long work that is usually short goes on without a bar."""
_CURSOR_UP = "\x1b[A"


def watched(items: Iterable[T], label: str, *, total: int, unit: str) -> Iterator[T]:
    """The same items, with a bar on stderr once they take longer than `SILENT_SECONDS`."""
    with progress_bar(label, total=total, unit=unit, delay=SILENT_SECONDS) as bar:
        for item in items:
            yield item
            bar.update()


def progress_bar(label: str, *, total: int, unit: str, initial: int = 0, delay: float = 0.0) -> tqdm[Any]:
    """A bar on stderr for `total` units of work, `initial` of which are done; to be closed, or used in `with`.

    Nothing is shown in the first `delay` seconds, nor of work that is done by then.
    In a file it writes a line at its start, at most one every `QUIET_SECONDS` and one at its end, as long as callers
    pass `refresh=False` to `set_description` and `set_postfix`. With `TQDM_DISABLE` in the environment it is silent.
    """
    # tqdm itself reads its variable only once, when it is imported.
    disable = bool(os.environ.get("TQDM_DISABLE"))
    if sys.stderr.isatty():
        return tqdm(
            total=total,
            initial=initial,
            delay=delay,
            desc=label,
            disable=disable,
            unit=unit,
            dynamic_ncols=True,
            mininterval=WATCHED_SECONDS,
        )
    return tqdm(
        total=total,
        initial=initial,
        delay=delay,
        desc=label,
        disable=disable,
        unit=unit,
        file=_Lines(sys.stderr),
        mininterval=QUIET_SECONDS,
        # Otherwise tqdm guesses how many units ten seconds are, and its monitor prints a second time when it is wrong.
        miniters=1,
    )


class _Lines:
    """A stream for bars in which every state is a line of its own, instead of overwriting the one before."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write what is left of `text` without the motions of the cursor."""
        if line := text.replace(_CURSOR_UP, "").strip():
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()
