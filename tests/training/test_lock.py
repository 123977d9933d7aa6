"""One process at a time works in a run's folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from latentfields.errors import InputError
from latentfields.training.lock import LOCK_FILE, locked, tidy, wait_until_free
from latentfields.training.runs import CONFIG_FILE, claim_run, running

HOLDER = (
    "import sys, time; from pathlib import Path; from latentfields.training.runs import running\n"
    "with running(Path(sys.argv[1]), {'steps': 3}):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(600)\n"
)


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that works in the folder until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_kept_out_until_it_is_dead(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holder(folder) as other:
        about = json.loads((folder / LOCK_FILE).read_text())
        assert about == {"pid": other.pid, "host": socket.gethostname()}
        expected = rf"run: process {other.pid} on .* works there \(.*\.lock\)"
        with pytest.raises(InputError, match=expected) as caught, running(folder, {"steps": 3}):
            pass
        assert "\n" not in str(caught.value)
        # Being refused took nothing away.
        with pytest.raises(InputError, match="works there"), locked(folder):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    assert (folder / LOCK_FILE).is_file()
    with running(folder, {"steps": 3}):
        assert json.loads((folder / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert [path.name for path in folder.iterdir()] == [CONFIG_FILE]


@pytest.mark.slow
def test_a_folder_is_waited_for_as_long_as_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    wait_until_free(folder, seconds=60)
    assert not folder.exists()
    with holder(folder) as other:
        started = time.monotonic()
        wait_until_free(folder, seconds=0.6)
        assert 0.6 <= time.monotonic() - started < 30
        killer = threading.Timer(1.0, other.kill)
        killer.start()
        wait_until_free(folder, seconds=60)
        assert 1.0 <= time.monotonic() - started < 55
        with running(folder, {"steps": 3}):
            pass
        other.wait()
    # What a killed process left is no reason to wait.
    (folder / LOCK_FILE).write_text("{}")
    started = time.monotonic()
    wait_until_free(folder, seconds=60)
    assert time.monotonic() - started < 10


def test_the_same_process_is_kept_out_as_well(tmp_path: Path) -> None:
    with locked(tmp_path):
        with pytest.raises(InputError, match="this process already"), locked(tmp_path / ".." / tmp_path.name):
            pass
        assert (tmp_path / LOCK_FILE).is_file()
    with locked(tmp_path):
        pass


def test_what_was_refused_leaves_no_folders_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with locked(tmp_path / "a" / "b" / "run"):
            raise InputError("scene", "is bad")

    with pytest.raises(InputError, match="is bad"):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_lock_left_behind_does_not_make_a_folder_something_else(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_text("")
    claim_run(tmp_path, {"steps": 3})
    assert (tmp_path / CONFIG_FILE).is_file()


def test_other_settings_are_told_before_anything_is_written(tmp_path: Path) -> None:
    claim_run(tmp_path, {"steps": 3})
    (tmp_path / CONFIG_FILE).chmod(0o444)
    with pytest.raises(InputError, match="other settings"), running(tmp_path, {"steps": 4}):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [CONFIG_FILE]


@pytest.mark.parametrize("living", [True, False])
def test_without_locks_of_the_file_system_the_process_id_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, living: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        about = {"pid": other.pid, "host": socket.gethostname()}
        (tmp_path / LOCK_FILE).write_text(json.dumps(about))
        if living:
            with pytest.raises(InputError, match=f"process {other.pid} on"), locked(tmp_path):
                pass
        other.kill()
        other.wait()
        with locked(tmp_path):
            assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_what_a_killed_process_left_half_written_is_removed_and_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    left = folder / f".{CONFIG_FILE}.{2**22 + 1}.tmp"
    left.write_text("{")
    with running(folder, {"steps": 3}):
        assert not left.exists()
    assert [path.name for path in folder.iterdir()] == [CONFIG_FILE]


def test_a_folder_that_is_worked_in_is_not_tidied(tmp_path: Path) -> None:
    left = tmp_path / f".model.safetensors.{2**22 + 1}.tmp"
    with locked(tmp_path):
        left.touch()
        tidy(tmp_path)
        assert left.exists()
    tidy(tmp_path)
    assert not [*tmp_path.iterdir()]
    tidy(tmp_path / "gone")
    assert not [*tmp_path.iterdir()]
