"""`latentfields render`: pictures and videos of a finished run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from latentfields.cli.options import Device
from latentfields.errors import ArgumentError
from latentfields.export.config import Shown, ViewsFormat
from latentfields.latent_nerf.config import Show


@dataclass(frozen=True, kw_only=True)
class Render:
    """Render a finished run: its test views, an orbit, the capture's way, or a path of one's own, as PNG or film.

    With --what, also latents, depth and opacity as numbers: one file rendered.safetensors, or files NAME.npy, with the
    cameras and the statistics of the latents.
    """

    run_folder: tyro.conf.Positional[Path]
    """Folder of the run, or a file written by `latentfields export scene`."""
    out: Path | None = None
    """Folder for PNG files, or a film ending in .mp4 or .gif; by default RUN/renders, beside a scene file."""
    scene: Path | None = None
    """Where the scene is now; by default where it was fitted from. Not needed for a scene file."""
    views: Literal["test", "orbit", "path"] | None = None
    """Which cameras: test views, a circle around the scene, or a smooth path through the training cameras; by default
    test views, and that path for films of scenes without bounds."""
    what: tuple[Shown, ...] = ("rgb",)
    """What of every view is written, one or several: pictures (rgb), rendered latents, depth in front of surfaces, or
    opacity."""
    format: ViewsFormat = "safetensors"
    """How latents, depth and opacity are written."""
    path: Path | None = None
    """File of a camera path, as saved by `latentfields view`; it takes the place of --views, --frames and --fps."""
    show: Show | None = None
    """Colours as they are rendered, or decoded latents; by default colours where the run has any."""
    frames: int = 60
    """Views of the orbit or the path, from 1."""
    fps: int = 20
    """Frames per second of a film; GIF plays at most 50."""
    size: int | None = None
    """Longer side of the pictures, in pixels; by default that of the run, in films at least 512. A run in RGB is
    rendered so finely; decoded pictures, and films without this option, are enlarged."""
    grids: int = 1
    """Take the mean of what is decoded on so many grids of latents along each side, which begin at other pixels: a
    divisor of the pixels per latent. Finer pictures, each for so many times the time squared."""
    reference_views: int | None = None
    """Add what so many training photographs near each view show and its rendering lacks, from 1: a few (4) do most. For
    pictures of objects; the photographs have to be at hand."""
    device: Device = "auto"

    def run(self) -> None:
        """Render and say where the result is."""
        from latentfields.camera_path import load_path
        from latentfields.export.views import export_views
        from latentfields.latent_nerf.render import (
            chosen_views,
            path_views,
            render_path,
            render_run,
            run_references,
        )
        from latentfields.latent_nerf.run import Run

        run = Run.load(self.run_folder, device=self.device)
        out = self.out or run.home / "renders"
        if self.what != ("rgb",):
            for option, given in (
                ("reference_views", self.reference_views is not None),
                ("grids", self.grids != 1),
            ):
                if given:
                    raise ArgumentError(option, "is given beside `what`; expected pictures alone")
            path = None if self.path is None else load_path(self.path)
            views = (
                chosen_views(run, self.views or "test", frames=self.frames, scene_folder=self.scene)
                if path is None
                else path_views(run, path)
            )
            print(export_views(run, views, out=out, what=self.what, format=self.format, size=self.size))
            return
        references = None
        if self.reference_views is not None:
            references = run_references(
                run, self.reference_views, scene_folder=self.scene, show=self.show, grids=self.grids
            )
        if self.path is not None:
            path = load_path(self.path)
            print(
                render_path(
                    run,
                    path,
                    out=out,
                    size=self.size,
                    show=self.show,
                    grids=self.grids,
                    references=references,
                )
            )
            return
        print(
            render_run(
                run,
                out=out,
                views=self.views,
                frames=self.frames,
                fps=self.fps,
                size=self.size,
                scene_folder=self.scene,
                show=self.show,
                grids=self.grids,
                references=references,
            )
        )
