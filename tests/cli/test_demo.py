"""The demo in small: a real object, both fits as processes of their own, one report."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from helpers.commands import latentfields
from latentfields.latent_nerf.presets import rays_per_side


def demo(out: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return latentfields("demo", "--out", out, "--views", "10", "--generated", "None", *arguments)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "small"


@pytest.mark.slow
def test_an_unknown_autoencoder_leaves_nothing_behind(out: Path) -> None:
    done = demo(out, "--autoencoder", "unheard-of")
    assert done.returncode == 2
    assert "unheard-of: no such autoencoder; packaged: 'base', 'base-f2', 'base-f4', 'igae'" in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_a_fit_that_cannot_start_stops_the_other(out: Path, autoencoder_folder: Path) -> None:
    (out / "latent").mkdir(parents=True)
    (out / "latent" / "something").touch()
    started = time.monotonic()
    done = demo(out, "--autoencoder", autoencoder_folder, "--seconds", 170)
    assert time.monotonic() - started < 150
    assert done.returncode == 2
    assert "latent: exists and is not a run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("factor", "rays"), [(1, 1), (4, 1), (7, 1), (8, 2), (12, 2), (16, 4), (32, 8)])
def test_rays_are_four_pixels_apart(factor: int, rays: int) -> None:
    assert rays_per_side(factor) == rays


@pytest.mark.slow
def test_both_fits_are_reported(out: Path, autoencoder_folder: Path) -> None:
    # The scene of the test before is used again, the fits that were stopped there are not. Kernels may have to be
    # compiled first, which takes some of the time.
    for folder in ("rgb", "latent"):
        shutil.rmtree(out / folder, ignore_errors=True)
    done = demo(out, "--autoencoder", autoencoder_folder, "--seconds", 1)
    assert done.returncode == 0, done.stderr
    latent, rgb, last = done.stdout.splitlines()
    for line, folder in ((latent, "latent"), (rgb, "rgb")):
        stored = json.loads((out / folder / "metrics.json").read_text())
        assert f"test PSNR {stored['test']['images']['mean']['psnr']:.2f} dB" in line
        assert stored["training_seconds"] >= 1
    assert "after Latent Supervision; the autoencoder alone:" in latent
    report = Path(last.split("Report: ")[1])
    assert report == (out / "report.html").resolve()
    page = report.read_text()
    assert "RGB NeRF" in page
    assert "Latent NeRF" in page
    assert "<span>latentfields</span> <span>demo</span>" in page
