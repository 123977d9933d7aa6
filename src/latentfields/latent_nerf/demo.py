"""The demo: a latent NeRF and an RGB NeRF of one procedural object, fitted side by side for the same time.

Beside them an object that a prior makes up in latent space, where diffusers is installed.
"""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json
from latentfields.latent_nerf.fleet import SceneFit, fit_scene
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.report import run_label, write_run_report
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.latent_nerf.usual import HABITS
from latentfields.pages.report import Film
from latentfields.process import choose_device
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import FAMILIES, generate_object
from latentfields.scenes.reading import Reading
from latentfields.training.jobs import Failure, Job, run_jobs
from latentfields.training.loop import LoopConfig
from latentfields.training.recipe import METRICS_FILE
from latentfields.training.workers import LocalWorkers

STEPS = {"supervision": 20_000, "alignment": 80_000}
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
    factor = load_autoencoder(autoencoder).factor
    scene = out / f"{family}-{seed:04d}-{views}"
    started = time.perf_counter()
    if not scene.exists():
        logging.getLogger(__name__).info("Generating %d views of a %s ...", views, family.removesuffix("s"))
        render_object_scene(
            generate_object(family, seed), scene, options=RenderConfig(views=views), seed=seed
        )
    latent, rgb = out / "latent", out / "rgb"
    in_latents = HABITS["object"].for_latents(preset().with_steps(**STEPS), factor=factor)
    in_rgb = preset(space="rgb").in_one_stage().with_steps(**STEPS)
    reading = Reading()
    _fit_side_by_side(
        [
            SceneFit(
                FitRunConfig(scene, space, None, seconds, fit, reading),
                out=folder,
                usual_size=True,
                device=device,
                report=True,
                picture=False,
                checkpoint_seconds=LoopConfig.checkpoint_seconds,
            )
            for folder, space, fit in ((latent, autoencoder, in_latents), (rgb, None, in_rgb))
        ]
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


def _fit_side_by_side(fits: Sequence[SceneFit]) -> None:
    """Fit at the same time: the first shows its progress, others write what they print to a file beside their run.

    Where one fails, the other saves its state and stops as well.
    """

    def stop(failure: Failure) -> NoReturn:
        raise failure.error

    jobs = [
        Job(one.name, fit_scene, one, log=one.out.with_suffix(".log") if number else None)
        for number, one in enumerate(fits)
    ]
    run_jobs(jobs, engine=LocalWorkers(len(jobs), device=fits[0].device), label=None, failed=stop)


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
