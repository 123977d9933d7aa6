"""What each log level lets through, and that nothing of it stays behind."""

from __future__ import annotations

import logging
import os
import warnings

import pytest

from latentfields.cli.main import parse_line
from latentfields.cli.reporting import LogLevel, reporting, with_flags
from latentfields.errors import ArgumentError, InputError

OURS, THEIRS = "latentfields.scenes.images", "numpy.linalg"


def speak() -> None:
    logging.getLogger("latentfields.x").info("a message")
    warnings.warn_explicit("our warning", UserWarning, "images.py", 1, module=OURS, registry={})
    warnings.warn_explicit("their warning", UserWarning, "linalg.py", 1, module=THEIRS, registry={})


@pytest.mark.parametrize(
    ("level", "lines"),
    [("error", ""), ("warning", "warning: our warning\n"), ("info", "a message\nwarning: our warning\n")],
)
def test_levels(level: LogLevel, lines: str, capsys: pytest.CaptureFixture[str]) -> None:
    filters, text, variable = warnings.filters[:], warnings.formatwarning, os.environ.get("TQDM_DISABLE")
    # Catching warnings, as the test runner does, would keep them from stderr.
    with warnings.catch_warnings(), reporting(level):
        warnings.showwarning = lambda message, *place, **_: _print(message, *place)
        speak()
        assert os.environ.get("TQDM_DISABLE") == (variable if level == "info" else "1")
    assert capsys.readouterr().err == lines
    assert (warnings.filters, warnings.formatwarning) == (filters, text)
    assert os.environ.get("TQDM_DISABLE") == variable
    assert not logging.getLogger("latentfields").handlers


def _print(message: Warning | str, *place: object) -> None:
    import sys

    category, filename, line = place[0], place[1], place[2]
    assert isinstance(category, type)
    assert isinstance(line, int)
    sys.stderr.write(warnings.formatwarning(message, category, str(filename), line))


def test_libraries_are_heard_for_debugging() -> None:
    with pytest.warns(UserWarning, match=r"(our|their) warning") as heard, reporting("debug"):
        speak()
    assert [str(warning.message) for warning in heard] == ["our warning", "their warning"]


def test_the_level_is_taken_before_and_after_the_command() -> None:
    assert parse_line(["evaluate", "runs/x"]).log_level == "info"
    assert parse_line(["--log-level", "error", "evaluate", "runs/x"]).log_level == "error"
    assert parse_line(["export", "mesh", "runs/x", "--log-level", "warning"]).log_level == "warning"


def test_arguments_are_flags_at_the_command_line_alone() -> None:
    error = ArgumentError("joint.learning_rate", "is 0; expected less than `final_rate`, see the file a_b")
    assert str(error) == "joint.learning_rate: is 0; expected less than `final_rate`, see the file a_b"
    assert (
        with_flags(error) == "--joint.learning-rate: is 0; expected less than --final-rate, see the file a_b"
    )
    assert with_flags(InputError("a_file.json", "field `x_y`")) == "a_file.json: field `x_y`"
