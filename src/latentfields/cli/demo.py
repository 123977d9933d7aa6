"""`latentfields demo`: the whole pipeline on a procedural object, offline, in under three minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentfields.cli.command_line import command_line
from latentfields.cli.options import Device


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Render a textured object, fit a latent NeRF and an RGB NeRF for the same time, make up another one, report all.

    The two fits run side by side, one processor core each; nothing was trained on the object. Then the packaged prior
    generates one of its own in latent space. Needs no download.
    """

    out: Path = Path("demo")
    """Folder for the scene, the runs and the report. Run again after an interruption to go on."""
    family: str = "vases"
    """Kind of object, one of the families of `latentfields scenes generate`."""
    seed: int = 3
    """Seed of the object."""
    autoencoder: str = "base-f2"
    """Autoencoder whose latent space is used."""
    seconds: float = 75.0
    """Training time of each fit."""
    views: int = 120
    """Rendered views of the object, all splits together."""
    generated: str | None = "mugs"
    """Class of the object that the packaged prior makes up; None leaves it out. Needs the extra `diffusers`."""
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
            generated=self.generated,
            device=self.device,
            command=command_line(),
        )
        for line in report:
            print(line)
