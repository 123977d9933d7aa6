"""The demo: a latent NeRF and an RGB NeRF of one generated object, fitted side by side for the same time."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import ArgumentError, InputError
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.report import run_label, write_run_report
from latentfields.latent_nerf.run import Run
from latentfields.process import choose_device
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import FAMILIES, generate_object

SMALL_BATCH = ("--batch-images", "2")
"""Half the paper's batch: twice the steps in the same time."""

STEPS = ("--supervision.steps", "20000", "--alignment.steps", "80000")
"""More than there is time for: the clock decides, and a fifth of the time goes to Latent Supervision."""

PIXELS_PER_RAY = 4
"""Rays through latents are so many pixels apart: one ray per latent where the factor is 4, four where it is 8."""


def run_demo(
    out: Path,
    *,
    family: str,
    seed: int,
    autoencoder: str,
    seconds: float,
    views: int,
    device: str = "auto",
    command: str,
) -> list[str]:
    """Run the demo in the folder `out`; returns the lines to print. Raises InputError for unusable options."""
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
    report = write_run_report(runs, title=f"Demo: {scene.name}", command=command, folder=out)
    return [*_summary(runs), f"{time.perf_counter() - started:.0f} s in all. Report: {report.resolve()}"]


def rays_per_side(factor: int) -> int:
    """Rays along one side of a latent of `factor` pixels: one, or an even number."""
    return max(1, 2 * (factor // (2 * PIXELS_PER_RAY)))


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
