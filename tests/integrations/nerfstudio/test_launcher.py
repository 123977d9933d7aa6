"""Nerfstudio's own commands with latent methods, as a user types them: train, kill, resume, eval, render."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from helpers.tiny import SIZE, TEST_VIEWS

pytest.importorskip("nerfstudio", reason="Nerfstudio has an environment of its own: make test-nerfstudio")

TRAIN = (
    "--machine.device-type",
    "cpu",
    "--pipeline.supervision.steps",
    "40",
    "--pipeline.alignment.steps",
    "40",
    "--pipeline.supervision.learning-rate-factor",
    "1",
    "--pipeline.model.ray-model.preset",
    "small",
    "--steps-per-save",
    "10",
    "--experiment-name",
    "sphere",
    "--timestamp",
    "run",
)
LAST = 79
PATIENCE = 900
"""Seconds until a command that hangs fails the test."""


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "latentfields", "ns", *map(str, arguments)]


def run(*arguments: str | Path) -> str:
    environment = dict(os.environ, OMP_NUM_THREADS="1", COLUMNS="200")
    done = subprocess.run(
        command(*arguments), env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def kill_after_checkpoints(arguments: list[str], folder: Path, log: Path) -> int:
    """Kill the command when it has begun a second checkpoint; returns the step of the first, which is whole."""
    with log.open("w") as out:
        process = subprocess.Popen(arguments, stdout=out, stderr=out)
        try:
            deadline = time.monotonic() + PATIENCE
            while len(files := sorted(folder.glob("*.ckpt"))) < 2:
                assert process.poll() is None, log.read_text()[-3000:]
                assert time.monotonic() < deadline, "no checkpoints came"
                time.sleep(0.05)
        finally:
            process.kill()
            process.wait()
    return int(files[-2].stem.partition("-")[2])


@pytest.mark.parametrize("method", ["latent-kplanes", "latent-splatfacto"])
def test_train_kill_resume_evaluate_and_render(
    method: str, blender_scene: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    data = ("--data", blender_scene, "--pipeline.autoencoder", autoencoder_folder)
    tail = ("blender-data",)
    killed, resumed = tmp_path / "killed", tmp_path / "resumed"
    models = f"sphere/{method}/run/nerfstudio_models"
    train = ("train", method, *TRAIN, *data)
    first = command(*train, "--output-dir", killed, "--save-only-latest-checkpoint", "False", *tail)
    step = kill_after_checkpoints(first, killed / models, tmp_path / "log.txt")
    assert 0 < step < LAST

    whole = killed / models / f"step-{step:09d}.ckpt"
    run(*train, "--output-dir", resumed, "--load-checkpoint", whole, *tail)
    config = resumed / f"sphere/{method}/run/config.yml"
    assert [file.name for file in (resumed / models).iterdir()] == [f"step-{LAST:09d}.ckpt"]

    run(
        "eval",
        "--load-config",
        config,
        "--output-path",
        tmp_path / "scores.json",
        "--render-output-path",
        tmp_path / "pictures",
    )
    scores = json.loads((tmp_path / "scores.json").read_text())["results"]
    assert scores["psnr"] > 11
    for group in ("latent_psnr", "against_autoencoded_psnr", "autoencoder_psnr", "ssim"):
        assert group in scores
    pictures = sorted((tmp_path / "pictures").glob("*_img_*.png"))
    assert len(pictures) == TEST_VIEWS
    # Truth, autoencoded truth and rendering side by side.
    assert Image.open(pictures[0]).size == (3 * SIZE, SIZE)

    run(
        "render",
        "dataset",
        "--load-config",
        config,
        "--output-path",
        tmp_path / "views",
        "--rendered-output-names",
        "rgb",
        "depth",
        "--image-format",
        "png",
    )
    views = sorted((tmp_path / "views" / "test" / "rgb").rglob("*.png"))
    assert len(views) == TEST_VIEWS
    assert Image.open(views[0]).size == (SIZE, SIZE)


def test_help_lists_every_method() -> None:
    text = run("train", "--help")
    for name in ("vanilla-nerf", "instant-ngp", "tensorf", "nerfacto", "kplanes", "splatfacto"):
        assert f"latent-{name}" in text


def test_bad_autoencoder_is_one_line(blender_scene: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command(
            "train",
            "latent-kplanes",
            *TRAIN,
            "--data",
            blender_scene,
            "--pipeline.autoencoder",
            "nowhere",
            "--output-dir",
            tmp_path,
            "blender-data",
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: nowhere: no such autoencoder; packaged: 'base'")
