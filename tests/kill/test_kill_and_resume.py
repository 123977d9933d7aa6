"""A real process, killed without warning at several moments and started again, ends with the same bytes."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from helpers.commands import small_fit
from kill.driver import finish, kill, start
from kill.trainings import TRAININGS

pytestmark = pytest.mark.slow

ARGUMENTS = (*small_fit(supervision=30, alignment=30), "--batch-images", "2")


def start_fit(scene: Path, autoencoder: Path, out: Path) -> subprocess.Popen[bytes]:
    """A fit that writes a checkpoint after every step."""
    inputs = ("fit", str(scene), "--autoencoder", str(autoencoder), "--out", str(out))
    return start((*inputs, "--checkpoint-seconds", "0", *ARGUMENTS))


def finish_fit(process: subprocess.Popen[bytes]) -> None:
    assert finish(process) is None


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
    finish_fit(start_fit(scene_folder, autoencoder_folder, folder))
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
        process = start_fit(scene_folder, autoencoder_folder, folder)
        deadline = time.monotonic() + 60
        while steps_logged(folder) < wanted and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        assert process.poll() is None, "the fit ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (folder / "model.safetensors").exists()
    finish_fit(start_fit(scene_folder, autoencoder_folder, folder))
    assert results(folder) == uninterrupted


def test_an_interrupt_saves_and_says_how_to_resume(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    folder = tmp_path / "run"
    process = start_fit(scene_folder, autoencoder_folder, folder)
    while steps_logged(folder) < 1 and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"run the same command again to resume" in errors
    assert b"Traceback" not in errors
    finish_fit(start_fit(scene_folder, autoencoder_folder, folder))
    assert results(folder) == uninterrupted


@pytest.mark.parametrize("name", ["autoencoder", "finetune-3d", "finetune-encoder", "align-decoder"])
def test_every_training_survives_a_kill_at_a_random_moment(name: str, tmp_path: Path) -> None:
    """`python -m kill` does the same a hundred times, for studies and other fits, too."""
    outcome = kill(TRAININGS[name], tmp_path / "kill", count=1, seed=0)
    assert outcome.differences == ()
    assert outcome.kills == 1
