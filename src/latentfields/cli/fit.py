"""`latentfields fit`: fit one scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from latentfields.cli.command_line import command_line
from latentfields.latent_nerf.config import FitConfig


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fit a radiance field to a folder of posed images, in the latent space of an autoencoder or in RGB.

    Run the same command again to resume a fit that was interrupted.
    """

    scene: tyro.conf.Positional[Path]
    """Folder of the scene: NeRF-synthetic, Nerfstudio, IG-AE or COLMAP layout."""
    out: Path | None = None
    """Folder of the run; by default runs/SCENE-SPACE."""
    autoencoder: str = "base"
    """Packaged name, folder, or Hub id of a diffusers autoencoder. Not used in RGB space."""
    size: int | None = None
    """Resize images so that their longer side has this many pixels; by default they keep their size."""
    seconds: float | None = None
    """Stop after this much training time, schedules adapted; by default all steps are done."""
    threads: int = 1
    """Threads inside tensor operations."""
    config: Annotated[FitConfig, tyro.conf.arg(name="")] = field(default_factory=FitConfig)

    def run(self) -> None:
        """Fit, evaluate, and write the report."""
        from latentfields.evaluation.run_report import write_run_report
        from latentfields.latent_nerf.fit import fit_folder
        from latentfields.latent_nerf.run import RunConfig
        from latentfields.process import set_threads

        set_threads(self.threads)
        name = self.scene.resolve().name
        out = self.out or Path("runs") / f"{name}-{self.config.space}"
        autoencoder = self.autoencoder if self.config.space == "latent" else None
        config = RunConfig(
            scene=self.scene, autoencoder=autoencoder, size=self.size, seconds=self.seconds, fit=self.config
        )
        run = fit_folder(config, out=out)
        print(write_run_report((run,), title=name, command=command_line()))
