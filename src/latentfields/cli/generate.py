"""`latentfields generate`: make latent scenes from a class or a photograph."""

from __future__ import annotations

import dataclasses
import json as json_format
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from latentfields.cli.command_line import command_line
from latentfields.cli.options import CheckpointSeconds, Device, Threads, chosen, set_up
from latentfields.cli.reporting import next_steps
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.priors.config import TEXT, DistillationConfig

TEXT_STEPS = 5000
"""Optimiser steps with a prompt: those of Latent-NeRF."""


@dataclass(frozen=True, kw_only=True)
class Generate:
    """Generate an object in latent space: of a class that the prior knows, of one photograph, or of a text.

    The result is a run like any other: view, render and export it. Run the same command again to resume what was
    interrupted.
    """

    category: tyro.conf.Positional[str | None] = None
    """Class of the object, one that the prior knows: by default of the training families of `scenes generate`."""
    out: Path | None = None
    """Folder of the run; by default runs/CATEGORY-SEED."""
    prior: str = "objects"
    """Packaged name of a prior, the folder that `prior train` wrote, or folder or Hub id of a pipeline of diffusers."""
    prompt: str | None = None
    """Text that describes the object, for a pipeline: Stable Diffusion 1.5, 2.1, XL or 3, or FLUX.1. On a GPU; not
    measured."""
    negative_prompt: str = ""
    """Text that guidance leads away from."""
    size: int | None = None
    """Side of the pictures, in pixels; by default that which the prior was trained on."""
    image: Path | None = None
    """Photograph of the object, in front of a plain background or of nothing, in the place of a drawn view."""
    elevation: float = GenerationRunConfig.elevation
    """Of the camera of the photograph, or of the drawn view, in degrees above the horizon."""
    azimuth: float = GenerationRunConfig.azimuth
    """Of the same camera, in degrees around the vertical axis."""
    seed: int = 0
    """Tells objects apart."""
    field: FieldName = "kplanes"
    """Representation of the scene."""
    steps: int = 400
    """Optimiser steps; with a prompt, 5000 by default."""
    checkpoint_seconds: CheckpointSeconds = 30.0
    device: Device = "auto"
    threads: Threads = 1
    json: bool = False
    """Print the run's folder, its report and the training time in seconds as JSON."""
    viewer: bool = False
    """Show the scene grow in the browser; `latentfields view` shows it afterwards."""
    viewer_port: int = 8080
    """Port of that viewer; the next free one if it is taken."""
    distillation: Annotated[DistillationConfig, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=DistillationConfig
    )

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> Generate:
        """The generation whose defaults are those of texts where --prompt is given."""
        if "prompt" not in chosen(arguments, {"prompt": Path}):
            return cls()
        return cls(steps=TEXT_STEPS, distillation=TEXT)

    def run(self) -> None:
        """Generate, and write the report."""
        from latentfields.cli.view import viewer_watch
        from latentfields.generation.generate import field_config, generate_run, generation_run
        from latentfields.generation.report import write_generation_report
        from latentfields.process import choose_device

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        choose_device(self.device)
        run = generation_run(
            self.category,
            prior=self.prior,
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            size=self.size,
            image=self.image,
            elevation=self.elevation,
            azimuth=self.azimuth,
            fit=field_config(self.field, steps=self.steps, seed=self.seed),
            distillation=self.distillation,
        )
        out = self.out or Path("runs") / run.name
        watch = viewer_watch(out, port=self.viewer_port) if self.viewer else nullcontext
        result = generate_run(
            run, out=out, device=self.device, watch=watch, checkpoint_seconds=self.checkpoint_seconds
        )
        report = write_generation_report(result, command=command_line())
        print(json_format.dumps(results(out, report)) if self.json else report)
        for line in next_steps(out, report):
            logging.getLogger(__name__).info("%s", line)


def results(out: Path, report: Path) -> dict[str, Any]:
    """Of a finished run, what --json prints."""
    from latentfields.files import read_json
    from latentfields.training.recipe import METRICS_FILE

    seconds = read_json(out / METRICS_FILE)["training_seconds"]
    return {"run": str(out), "report": str(report), "training_seconds": seconds}
