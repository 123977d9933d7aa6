"""`latentfields demo`: the whole pipeline on a generated scene, offline, in about two minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentfields.cli.command_line import command_line
from latentfields.cli.options import Device


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Generate a textured object, fit a latent NeRF and an RGB NeRF for the same time, and report both.

    The two fits run side by side, one processor core each. Needs no download; nothing was trained on the object.
    """

    out: Path = Path("demo")
    """Folder for the scene, the runs and the report. Run again after an interruption to go on."""
    family: str = "vases"
    """Kind of object, one of the families of `latentfields scenes generate`."""
    seed: int = 3
    """Seed of the object."""
    autoencoder: str = "base-f4"
    """Autoencoder whose latent space is used."""
    seconds: float = 75.0
    """Training time of each fit."""
    views: int = 120
    """Rendered views of the object, all splits together."""
    device: Device = "auto"

    def run(self) -> None:
        """Generate, fit both, report."""
        from latentfields.latent_nerf.demo import run_demo

        report = run_demo(
            self.out,
            family=self.family,
            seed=self.seed,
            autoencoder=self.autoencoder,
            seconds=self.seconds,
            views=self.views,
            device=self.device,
            command=command_line(),
        )
        for line in report:
            print(line)
