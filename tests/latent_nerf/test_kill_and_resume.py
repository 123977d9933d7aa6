"""A real process, killed without warning at several moments and started again, ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.commands import small_fit

pytestmark = pytest.mark.slow

ARGUMENTS = (*small_fit(supervision=30, alignment=30), "--batch-images", "2")


def start(scene: Path, autoencoder: Path, out: Path) -> subprocess.Popen[bytes]:
    """A fit that writes a checkpoint after every step."""
    command = [sys.executable, "-m", "latentfields", "fit", str(scene), "--autoencoder", str(autoencoder)]
    return subprocess.Popen(
        [*command, "--out", str(out), "--checkpoint-seconds", "0", *ARGUMENTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def results(folder: Path) -> dict[str, bytes]:
    names = ("model.safetensors", "decoder/model.safetensors", "decoder/latent_statistics.json")
    return {name: (folder / name).read_bytes() for name in names}


def steps_logged(folder: Path) -> int:
    log = folder / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


@pytest.fixture(scope="module")
def uninterrupted(
    scene_folder: Path, autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    finish(start(scene_folder, autoencoder_folder, folder))
    return results(folder)


@pytest.mark.parametrize("records", [(1,), (2, 4), (3,)], ids=["early", "twice", "at the boundary"])
def test_killed_and_resumed_equals_uninterrupted(
    scene_folder: Path,
    autoencoder_folder: Path,
    tmp_path: Path,
    uninterrupted: dict[str, bytes],
    records: tuple[int, ...],
) -> None:
    folder = tmp_path / "run"
    for wanted in records:
        process = start(scene_folder, autoencoder_folder, folder)
        deadline = time.monotonic() + 60
        while steps_logged(folder) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        assert process.poll() is None, "the fit ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (folder / "model.safetensors").exists()
    finish(start(scene_folder, autoencoder_folder, folder))
    assert results(folder) == uninterrupted


def test_an_interrupt_saves_and_says_how_to_resume(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    folder = tmp_path / "run"
    process = start(scene_folder, autoencoder_folder, folder)
    while steps_logged(folder) < 1 and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"run the same command again to resume" in errors
    assert b"Traceback" not in errors
    finish(start(scene_folder, autoencoder_folder, folder))
    assert results(folder) == uninterrupted
