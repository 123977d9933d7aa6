"""The demo in small: a real object, both fits as processes of their own, one report."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest


def demo(out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "latentfields", "demo", "--out", str(out), "--views", "10"]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=180, check=False
    )


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "small"


def test_a_fit_that_cannot_start_stops_the_other(out: Path) -> None:
    started = time.monotonic()
    done = demo(out, "--autoencoder", "unheard-of", "--seconds", 170)
    assert time.monotonic() - started < 150
    assert done.returncode == 2
    assert "unheard-of: no such autoencoder; packaged: 'base', 'igae'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "latent").exists()


def test_both_fits_are_reported(out: Path, autoencoder_folder: Path) -> None:
    # The scene of the test before is used again, the fit that was stopped there is not. Kernels may have to be
    # compiled first, which takes some of the time.
    shutil.rmtree(out / "rgb", ignore_errors=True)
    done = demo(out, "--autoencoder", autoencoder_folder, "--seconds", 6)
    assert done.returncode == 0, done.stderr
    latent, rgb, last = done.stdout.splitlines()
    for line, folder in ((latent, "latent"), (rgb, "rgb")):
        stored = json.loads((out / folder / "metrics.json").read_text())
        assert f"test PSNR {stored['test']['images']['mean']['psnr']:.2f} dB" in line
        assert stored["training_seconds"] >= 6
    assert "after Latent Supervision; the autoencoder alone:" in latent
    report = Path(last.split("Report: ")[1])
    assert report == (out / "report.html").resolve()
    page = report.read_text()
    assert "RGB NeRF" in page
    assert "Latent NeRF" in page
    assert "<span>latentfields</span> <span>demo</span>" in page
