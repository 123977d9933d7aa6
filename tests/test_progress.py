"""Bars in a terminal, and in a log file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from helpers.commands import latentfields
from latentfields import progress
from latentfields.progress import QUIET_SECONDS, progress_bar, watched


@pytest.mark.slow
def test_a_log_file_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.2)
    start = time.perf_counter()
    with progress_bar("work", total=300, unit="step", initial=100) as bar:
        for index in range(200):
            time.sleep(0.005)
            bar.set_postfix_str(f"loss {index}", refresh=False)
            bar.update()
    seconds = time.perf_counter() - start
    lines = capsys.readouterr().err.split("\n")
    assert lines.pop() == ""
    assert 3 <= len(lines) <= seconds / 0.2 + 2
    assert all(line.startswith("work: ") and "\r" not in line and line.isascii() for line in lines)
    assert "100/300" in lines[0]
    assert "300/300" in lines[-1]
    assert "loss 199" in lines[-1]


def test_no_bars_are_shown_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also long after tqdm was imported."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with progress_bar("work", total=2, unit="step") as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""


def test_a_bar_inside_of_another_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("cells", total=2, unit="cell") as outer:
        for _ in range(2):
            with progress_bar("fit", total=1, unit="step") as inner:
                inner.update()
            outer.update()
    text = capsys.readouterr().err
    assert "\x1b" not in text
    assert {line.split(":")[0] for line in text.splitlines()} == {"cells", "fit"}


@pytest.mark.slow
def test_a_command_writes_few_lines_to_its_log(tmp_path: Path) -> None:
    """Many scenes of many views, each of which used to be a line."""
    scenes = ("rocks", "--count", "6", "--views", "12", "--size", "24", "--samples", "1")
    start = time.perf_counter()
    done = latentfields("scenes", "generate", *scenes, "--out", tmp_path / "s")
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert 2 <= len(lines) <= seconds / QUIET_SECONDS + 2
    assert "72/72" in lines[-1]
    assert done.stdout.splitlines() == [str(tmp_path / "s" / f"rocks-{seed:04d}") for seed in range(6)]


def test_a_terminal_sees_the_usual_bar() -> None:
    code = (
        "from latentfields.progress import progress_bar\n"
        "with progress_bar('work', total=3, unit='step') as bar: bar.update(3)\n"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True, timeout=60)
    os.close(theirs)
    text = ""
    with contextlib.suppress(OSError):  # The end of a terminal whose program has ended.
        while part := os.read(ours, 4096):
            text += part.decode()
    os.close(ours)
    assert text.count("\r") >= 2
    assert "3/3" in text
    assert text.count("\n") == 1


def test_what_is_done_soon_has_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(watched(range(3), "views", total=3, unit="view")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.01)
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0.01)
    for _ in watched(range(3), "views", total=3, unit="view"):
        time.sleep(0.02)
    assert "views: 100%" in capsys.readouterr().err
