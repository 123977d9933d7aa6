"""What commands say on stderr beside their results: progress bars, messages, warnings, and how errors read."""

from __future__ import annotations

import json as json_format
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from latentfields.errors import ArgumentError, InputError

LogLevel = Literal["error", "warning", "info", "debug"]

LOG_LEVEL_HELP = (
    "What is said on stderr: errors; warnings as well; progress and messages as well; the warnings of libraries and "
    "the tracebacks of defects as well."
)


@contextmanager
def reporting(level: LogLevel) -> Iterator[None]:
    """Say as much as `level` asks for. To be entered before tqdm is imported, which reads its variable only then."""
    logger = logging.getLogger("latentfields")
    before = (logger.level, os.environ.get("TQDM_DISABLE"), warnings.formatwarning)
    handler = logging.StreamHandler(sys.stderr)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    try:
        with warnings.catch_warnings():
            if level in ("error", "warning"):
                # In the environment, for processes that commands start.
                os.environ["TQDM_DISABLE"] = "1"
            if level != "debug":
                warnings.simplefilter("ignore")
                warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
            if level in ("warning", "info"):
                warnings.filterwarnings("default", category=UserWarning, module=r"latentfields\.")
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        if before[1] is None:
            os.environ.pop("TQDM_DISABLE", None)
        else:
            os.environ["TQDM_DISABLE"] = before[1]
        warnings.formatwarning = before[2]


def one_line(error: Exception) -> str:
    """An unexpected error in one line: the system's own words, or how to find out more about a defect."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())[:200]
    return f"a defect: {type(error).__name__}: {text}; --log-level debug shows the traceback"


def print_result(result: Any, lines: Sequence[str], *, json: bool) -> None:
    """Print what a command found: as one line of JSON, or as the lines that say the same."""
    for line in [json_format.dumps(result)] if json else lines:
        print(line)


def with_flags(error: InputError) -> str:
    """The message of `error` as someone at a shell knows it: `supervision.steps` is --supervision.steps there."""
    if not isinstance(error, ArgumentError):
        return str(error)
    problem = re.sub(r"`([a-z0-9_.]+)`", lambda name: _flag(name[1]), error.problem)
    return f"{_flag(error.source)}: {problem}"


def _flag(argument: str) -> str:
    return "--" + argument.replace("_", "-")
