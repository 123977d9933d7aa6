"""`latentfields evaluate`: scores of a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from latentfields.cli.options import Device
from latentfields.cli.reporting import flags_in, print_result


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score a finished run on the test views of its scene, and print the averages."""

    run_folder: tyro.conf.Positional[Path]
    """Folder of the run, or a file written by `latentfields export scene`."""
    scene: Path | None = None
    """Where the scene is now; by default where it was fitted from."""
    autoencoder: str | None = None
    """Where the autoencoder is now that the scene was fitted with; by default where it was then."""
    look: int | None = None
    """Time views of so many pixels along the longer side, too, as someone sees them who moves around: what each takes
    to render, and to render and decode, in milliseconds that the process computes."""
    grids: int = 1
    """Score pictures that are the mean of what is decoded on so many grids of latents along each side, too, which begin
    at other pixels: a divisor of the pixels per latent."""
    reference_views: int | None = None
    """Score pictures with what so many photographs near each of them add, too, from 1: a few (4) do most."""
    device: Device = "auto"
    json: bool = False
    """Print the averages as JSON."""

    def run(self) -> None:
        """Evaluate and print."""
        from latentfields.latent_nerf.evaluate import evaluate_run, looking, mean_scores, summary_lines
        from latentfields.latent_nerf.run import Run

        run = Run.load(self.run_folder, device=self.device)
        times = None if self.look is None else looking(run, look=self.look, scene_folder=self.scene)
        scores = evaluate_run(
            run,
            scene_folder=self.scene,
            autoencoder=self.autoencoder,
            grids=self.grids,
            reference_views=self.reference_views,
        )
        means = mean_scores(scores)
        lines = [flags_in(line, self) for line in summary_lines(scores)]
        if times is not None:
            means["looking"] = times
            lines.append(
                f"{'looking':20s} " + "  ".join(f"{name} {value:.4g} ms" for name, value in times.items())
            )
        print_result(means, lines, json=self.json)
