"""`latentfields edit`: change latent scenes."""

from __future__ import annotations

import dataclasses
import json as json_format
import logging
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from latentfields.cli.command_line import command_line
from latentfields.cli.generate import results
from latentfields.cli.options import CheckpointSeconds, Device, Threads, set_up
from latentfields.cli.reporting import next_steps
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.priors.config import EDITING, DistillationConfig


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Change the scene of a run in latent space: to another class, to what a photograph shows, or to a text.

    Delta denoising moves what differs between what is there and what is wanted; the run itself stays as it is. Run
    the same command again to resume what was interrupted.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of the run, or a file written by `latentfields export scene`."""
    to: str | None = None
    """Class that the object becomes, one that the prior knows."""
    out: Path | None = None
    """Folder of the new run; by default beside the old one, as RUN-to-CLASS."""
    image: Path | None = None
    """Photograph of what the object becomes, in front of a plain background or of nothing."""
    origin: str | None = None
    """Class that the object is; by default the one that it was generated as."""
    prior: str = "objects"
    """Packaged name of a prior, the folder that `prior train` wrote, or folder or Hub id of a pipeline of diffusers."""
    prompt: str | None = None
    """Text of what the object becomes, for a pipeline, in whose latents the scene was made. On a GPU; not measured."""
    origin_prompt: str | None = None
    """Text of what the object is; by default the one that it was generated as."""
    negative_prompt: str = ""
    """Text that guidance leads away from."""
    elevation: float = GenerationRunConfig.elevation
    """Of the camera of the photograph, in degrees above the horizon."""
    azimuth: float = GenerationRunConfig.azimuth
    """Of the same camera, in degrees around the vertical axis."""
    box: tuple[float, float, float, float, float, float] | None = None
    """Lower and upper corner, x y z each, of the part of the scene in [-1, 1]^3 that may change; by default all."""
    seed: int = 0
    """Seed of views and noise."""
    steps: int = 200
    """Optimiser steps."""
    checkpoint_seconds: CheckpointSeconds = 30.0
    device: Device = "auto"
    threads: Threads = 1
    json: bool = False
    """Print the run's folder, its report and the training time in seconds as JSON."""
    viewer: bool = False
    """Show the scene change in the browser; `latentfields view` shows it afterwards."""
    viewer_port: int = 8080
    """Port of that viewer; the next free one if it is taken."""
    distillation: Annotated[DistillationConfig, tyro.conf.arg(name="")] = dataclasses.field(
        default_factory=lambda: EDITING
    )

    def run(self) -> None:
        """Edit, and write the report."""
        from latentfields.cli.view import viewer_watch
        from latentfields.generation.edit import Wish, edit_config, edit_run
        from latentfields.generation.report import write_generation_report
        from latentfields.process import choose_device

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        choose_device(self.device)
        config = edit_config(
            self.run_folder,
            Wish(
                self.to,
                self.image,
                self.origin,
                self.prompt,
                self.origin_prompt,
                self.negative_prompt,
            ),
            prior=self.prior,
            elevation=self.elevation,
            azimuth=self.azimuth,
            box=self.box,
            seed=self.seed,
            steps=self.steps,
            distillation=self.distillation,
        )
        out = self.out or self.run_folder.resolve().parent / config.name
        watch = viewer_watch(out, port=self.viewer_port) if self.viewer else nullcontext
        result = edit_run(
            config, out=out, device=self.device, watch=watch, checkpoint_seconds=self.checkpoint_seconds
        )
        report = write_generation_report(result, command=command_line())
        print(json_format.dumps(results(out, report)) if self.json else report)
        for line in next_steps(out, report):
            logging.getLogger(__name__).info("%s", line)
