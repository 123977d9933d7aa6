"""Messages on stderr, beside the results: progress bars, log, warnings, and the wording of errors."""

from __future__ import annotations

import dataclasses
import json as json_format
import logging
import os
import re
import shlex
import sys
import typing
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import tyro

from latentfields.errors import ArgumentError, InputError

LogLevel = Literal["error", "warning", "info", "debug"]

LOG_LEVEL_HELP = (
    "What is said on stderr: errors; warnings as well; progress and messages as well; the warnings of libraries and "
    "the tracebacks of defects as well."
)


@contextmanager
def reporting(level: LogLevel) -> Iterator[None]:
    """Say as much as `level` asks for. Bars of other libraries are those that were imported meanwhile."""
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
    text = " ".join(str(error).split())[:200]
    if isinstance(error, OSError):
        problem = error.strerror or text or type(error).__name__
        return f"{error.filename}: {problem}" if error.filename else problem
    return f"a defect: {type(error).__name__}: {text}; --log-level debug shows the traceback"


def print_result(result: Any, lines: Sequence[str], *, json: bool) -> None:
    """Print what a command found: as one line of JSON, or as the lines that say the same."""
    for line in [json_format.dumps(result)] if json else lines:
        print(line)


def next_steps(run: Path, report: Path, *, views: str = "orbit") -> list[str]:
    """What can be done with a run that is finished: looked at, and taken elsewhere. `views` are those of a film."""
    folder = shlex.quote(str(run))
    return [
        f"Open {report} in a browser, or: latentfields view {folder}",
        f"Take it elsewhere: latentfields render {folder} --views {views} --out film.mp4, or latentfields export",
    ]


def with_flags(error: InputError, command: object = None) -> str:
    """The message of `error` as someone at a shell knows it: `supervision.steps` is --supervision.steps there.

    `command` is the command that ran, whose fields are the options: those that a configuration without a name in
    front of them holds, and positional arguments, look different at the shell. Words in backticks in the message about
    a file are options where the command has such.
    """
    if isinstance(error, ArgumentError):
        problem = re.sub(_QUOTED, lambda name: _flag(name[1], command), error.problem)
        return f"{_flag(error.source, command)}: {problem}"
    return f"{error.source}: {flags_in(error.problem, command)}"


def flags_in(text: str, command: object) -> str:
    """The text with the names of the command's options, in backticks, as flags."""
    known = _fields(command)
    return re.sub(_QUOTED, lambda name: _flag(name[1], command) if name[1] in known else name[0], text)


_QUOTED = r"`([a-z0-9_.]+)`"


def _flag(argument: str, command: object) -> str:
    first, _, rest = argument.partition(".")
    marks = _fields(command).get(first, ())
    if tyro.conf.Positional in marks:
        return argument
    if rest and any(getattr(mark, "name", None) == "" for mark in marks):
        argument = rest
    return "--" + argument.replace("_", "-")


def _fields(command: object) -> dict[str, tuple[Any, ...]]:
    """The fields of a command, by name, with what the command line is told of them; also those of unnamed parts."""
    if not dataclasses.is_dataclass(command):
        return {}
    hints = typing.get_type_hints(type(command), include_extras=True)
    found: dict[str, tuple[Any, ...]] = {}
    for field in dataclasses.fields(command):
        found[field.name] = marks = getattr(hints[field.name], "__metadata__", ())
        if any(getattr(mark, "name", None) == "" for mark in marks):
            found = _fields(getattr(command, field.name)) | found
    return found
