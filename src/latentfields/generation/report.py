"""The page of a generated or edited scene: what it was asked for, a turn around it, and how it came about."""

from __future__ import annotations

from pathlib import Path

import torch

from latentfields.errors import InputError
from latentfields.files import read_json
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.latent_nerf.render import orbit, orbit_frames
from latentfields.latent_nerf.run import Run
from latentfields.pages.charts import Chart, Series
from latentfields.pages.pictures import LatentProjection, Pixels, depth_range, depth_to_pixels, to_pixels
from latentfields.pages.report import (
    Film,
    Headline,
    Picture,
    PictureGroup,
    PictureRow,
    Report,
    write_report,
)
from latentfields.pages.video import write_mp4
from latentfields.training.loop import read_log
from latentfields.training.recipe import METRICS_FILE

REPORT_FILE = "report.html"
ORBIT_FRAMES = 48
OPAQUE = 0.5
"""Opacity below which the depth picture shows nothing."""


def write_generation_report(run: Run, *, command: str) -> Path:
    """Write `report.html` and `orbit.mp4` into the folder of a run, and return the page's path."""
    assert isinstance(run.config, GenerationRunConfig)
    assert run.views is not None
    film = run.folder / "orbit.mp4"
    cameras = orbit(run.views.training_cameras, frames=ORBIT_FRAMES)
    write_mp4(film, orbit_frames(run, cameras), fps=16)
    seconds = float(read_json(run.folder / METRICS_FILE)["training_seconds"])
    records = read_log(run.folder)
    steps = [record["step"] for record in records]
    pull = Series("squared gradient", steps, [record["loss"] for record in records])
    opacity = Series("mean opacity", steps, [record["opacity"] for record in records])
    report = Report(
        title=run.config.name,
        subtitle=_asked(run.config),
        command=command,
        status=f"{seconds:.0f} s",
        headlines=(
            Headline("Time", f"{seconds:.0f}", "s", "of distillation"),
            Headline("Field", run.config.fit.field.kind),
            Headline("Prior", Path(run.config.prior).name),
        ),
        charts=(
            Chart("Pull of the prior", "step", "mean square", (pull,), scale="log"),
            Chart("Opacity", "step", "share of the views", (opacity,)),
        ),
        groups=(_turn(run),),
        films=(Film(run.config.name, film),),
        configuration=run.to_json(),
    )
    path = run.folder / REPORT_FILE
    write_report(path, report)
    return path


def _asked(config: GenerationRunConfig) -> str:
    """The wish, in words."""
    parts = [config.category, None if config.prompt is None else f'"{config.prompt}"']
    parts.append(None if config.image is None else f"as in {config.image.name}")
    asked = ", ".join(part for part in parts if part is not None)
    return asked if config.origin is None else f"{config.origin.name} changed to {asked}"


def _turn(run: Run) -> PictureGroup:
    """Views of a turn: decoded, as latents and as depth; of a scene that was edited also as it was before."""
    assert run.views is not None
    cameras = run.views.cameras[run.views.splits["test"]]
    images, seen = run.model.render(cameras)
    depth = torch.where(seen.opacity > OPAQUE, seen.depth, torch.inf)
    near, far = depth_range(depth)
    latents = LatentProjection.fit(seen.features).pixels(seen.features)
    depths = depth_to_pixels(depth[:, 0], near=near, far=far)
    labels = [f"{360 * index // len(images)}°" for index in range(len(images))]

    def row(label: str, pictures: Pixels) -> PictureRow:
        return PictureRow(label, tuple(Picture(*pair) for pair in zip(labels, pictures, strict=True)))

    rows = [
        row("decoded", to_pixels(images)),
        row("latents", latents),
        row("depth, near in red", depths),
    ]
    before = _before(run)
    if before is not None:
        rows.insert(0, row("before", to_pixels(before.model.render(cameras)[0])))
    return PictureGroup("A turn", tuple(rows))


def _before(run: Run) -> Run | None:
    """The run that was edited, where it is still there."""
    assert isinstance(run.config, GenerationRunConfig)
    if run.config.origin is None:
        return None
    try:
        return Run.load(run.config.origin, device=str(run.model.device))
    except InputError:
        return None
