"""The demo: a latent NeRF and an RGB NeRF of one procedural object, fitted side by side for the same time.

Beside them an object that a prior makes up in latent space, where diffusers is installed.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import time
from pathlib import Path

from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.presets import rays_per_side
from latentfields.latent_nerf.report import run_label, write_run_report
from latentfields.latent_nerf.run import Run
from latentfields.pages.report import Film
from latentfields.process import choose_device
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import FAMILIES, generate_object
from latentfields.training.recipe import METRICS_FILE

SMALL_BATCH = ("--batch-images", "2")
"""Half the paper's batch: twice the steps in the same time."""

STEPS = ("--supervision.steps", "20000", "--alignment.steps", "80000")
"""More than there is time for: the clock decides, and a fifth of the time goes to Latent Supervision."""


def run_demo(
    out: Path,
    *,
    family: str,
    seed: int,
    autoencoder: str,
    seconds: float,
    views: int,
    generated: str | None = None,
    device: str = "auto",
    command: str,
) -> list[str]:
    """Run the demo in the folder `out`; returns the lines to print. Raises InputError for unusable options.

    `generated` is a class of the packaged prior, one of whose objects is generated; None: none is.
    """
    choose_device(device)
    if family not in FAMILIES:
        raise ArgumentError("family", f"is '{family}'; expected one of {', '.join(FAMILIES)}")
    subpixels = rays_per_side(load_autoencoder(autoencoder).factor)
    scene = out / f"{family}-{seed:04d}-{views}"
    started = time.perf_counter()
    if not scene.exists():
        logging.getLogger(__name__).info("Generating %d views of a %s ...", views, family.removesuffix("s"))
        render_object_scene(
            generate_object(family, seed), scene, options=RenderConfig(views=views), seed=seed
        )
    latent, rgb = out / "latent", out / "rgb"
    limit = ["--seconds", str(seconds), "--device", device, *STEPS]
    space = ["--autoencoder", autoencoder, "--subpixels", str(subpixels), *SMALL_BATCH]
    _fit_side_by_side(
        [str(scene), "--out", str(latent), *space, *limit],
        [str(scene), "--out", str(rgb), "--space", "rgb", *limit],
        log=out / "rgb.log",
    )
    runs = (Run.load(latent), Run.load(rgb))
    made, films = [], []
    if generated is not None and importlib.util.find_spec("diffusers") is None:
        made.append("No object is generated: that needs pip install 'latentfields[diffusers]'")
    elif generated is not None:
        _run(["generate", generated, "--out", str(out / "generated"), "--device", device])
        seconds = read_json(out / "generated" / METRICS_FILE)["training_seconds"]
        made.append(
            f"Generated {generated.removesuffix('s'):17s} {seconds:.0f} s of distillation, no photographs"
        )
        films.append(Film(f"Generated: {generated.removesuffix('s')}", out / "generated" / "orbit.mp4"))
    report = write_run_report(runs, title=f"Demo: {scene.name}", command=command, folder=out, beside=films)
    return [
        *_summary(runs),
        *made,
        f"{time.perf_counter() - started:.0f} s in all. Report: {report.resolve()}",
    ]


def _fit_side_by_side(first: list[str], second: list[str], *, log: Path) -> None:
    """Run two `latentfields fit` processes at once: the first shows its progress, the second writes it to `log`."""
    command = [sys.executable, "-m", "latentfields", "fit"]
    with open(log, "w") as file, subprocess.Popen(command + second, stdout=file, stderr=file) as background:
        try:
            status = subprocess.run(command + first, stdout=subprocess.DEVNULL, check=False).returncode
            status = status or background.wait()
        finally:
            # Where the first failed or was interrupted, the second saves its state and stops as well.
            background.terminate()
    if status:
        raise InputError(log.parent, f"a fit ended with status {status}; its messages are above or in {log}")


def _run(arguments: list[str]) -> None:
    """Run a command of this package as a process of its own, which shows its progress."""
    command = [sys.executable, "-m", "latentfields", *arguments]
    status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    if status:
        raise InputError(arguments[0], f"ended with status {status}; its messages are above")


def _summary(runs: tuple[Run, ...]) -> list[str]:
    lines = []
    for run in runs:
        metrics = read_metrics(run.folder)
        psnr = metrics["test"]["images"]["mean"]["psnr"]
        line = f"{run_label(run):27s} test PSNR {psnr:.2f} dB after {metrics['training_seconds']:.0f} s"
        if metrics["after_supervision"]:
            line += (
                f" ({metrics['after_supervision']['test_psnr']:.2f} after Latent Supervision; the autoencoder "
                f"alone: {metrics['test']['autoencoder']['mean']['psnr']:.2f})"
            )
        lines.append(line)
    return lines
