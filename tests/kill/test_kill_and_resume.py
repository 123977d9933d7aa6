"""A real process, killed without warning at several moments and started again, ends with the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.commands import Started, small_fit, started

pytestmark = pytest.mark.slow

ARGUMENTS = (*small_fit(supervision=30, alignment=30), "--batch-images", "2")


def start_fit(scene: Path, autoencoder: Path, out: Path) -> Started:
    """A fit that writes a checkpoint after every step."""
    inputs = ("fit", scene, "--autoencoder", autoencoder, "--out", out)
    return started(out.parent, *inputs, "--checkpoint-seconds", 0, *ARGUMENTS)


def finish_fit(fit: Started) -> None:
    done = fit.finished(timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


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


def test_killed_and_resumed_equals_uninterrupted(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    """Killed early, in both stages, and at the boundary between them."""
    folder = tmp_path / "run"
    for wanted in (1, 3, 4):
        fit = start_fit(scene_folder, autoencoder_folder, folder)
        deadline = time.monotonic() + 60
        while steps_logged(folder) < wanted and fit.runs and time.monotonic() < deadline:
            time.sleep(0.002)
        assert fit.runs, "the fit ended before it could be killed"
        fit.stop(signal.SIGKILL)
        assert fit.finished().returncode == -signal.SIGKILL
        assert not (folder / "model.safetensors").exists()
    finish_fit(start_fit(scene_folder, autoencoder_folder, folder))
    assert results(folder) == uninterrupted


def test_an_interrupt_saves_and_says_how_to_resume(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    folder = tmp_path / "run"
    fit = start_fit(scene_folder, autoencoder_folder, folder)
    while steps_logged(folder) < 1 and fit.runs:
        time.sleep(0.002)
    fit.stop(signal.SIGINT)
    done = fit.finished(timeout=60)
    assert done.returncode == 130
    assert "run the same command again to resume" in done.stderr
    assert "Traceback" not in done.stderr
    finish_fit(start_fit(scene_folder, autoencoder_folder, folder))
    assert results(folder) == uninterrupted


def test_every_training_survives_kills_at_random_moments(tmp_path: Path) -> None:
    """One of the hundred kills that `make kill` does of these, of every field and of a study."""
    names = (
        *("fit-rgb", "autoencoder", "finetune-3d", "correspond", "finetune-encoder", "align-decoder"),
        "collection",
    )
    report, tests = tmp_path / "kill.json", Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "kill", "--count", "1", "--kind", *names, "--report", str(report)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tests,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    outcomes = json.loads(report.read_text())["trainings"]
    assert [*outcomes] == [*names]
    for outcome in outcomes.values():
        assert outcome["differences"] == []
        assert outcome["kills"] == sum(outcome["by"].values()) == 1
        assert outcome["runs"] >= 1
        assert outcome["files"] >= 2
