"""The report of one run, or of several runs of one scene side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.config.arguments import checked
from latentfields.errors import InputError
from latentfields.latent_nerf.capture_check import FOG, SHARES, advice
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.render import film_cameras, load_run_scene, orbit_frames
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.pages.charts import Chart, Level, Series, Stage
from latentfields.pages.pictures import (
    LatentProjection,
    depth_range,
    depth_to_pixels,
    error_to_pixels,
    to_pixels,
)
from latentfields.pages.report import (
    Film,
    Headline,
    Picture,
    PictureGroup,
    PictureRow,
    Report,
    Table,
    write_report,
)
from latentfields.pages.video import write_mp4
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread
from latentfields.training.loop import log_path, read_log
from latentfields.training.recipe import METRICS_FILE

REPORT_FILE = "report.html"
SHOWN_VIEWS = 4
ORBIT_FRAMES = 48
ERROR_GAIN = 4.0
OPAQUE = 0.5
"""Opacity below which the depth picture shows nothing."""
CAPTURE_TABLE = "Cameras, sparse points and rendered depth"
CAPTURE_COLUMNS = ("", "cameras in the box", "points outside", "points in fog")
CAPTURE_NOTE = (
    "The box is [-1, 1]^3, the middle of a scene without bounds. In fog are points of test views before which the "
    f"rendered depth ends, at less than {FOG} of theirs."
)


@checked
def write_run_report(
    runs: Run | str | Path | Sequence[Run],
    *,
    title: str | None = None,
    command: str | None = None,
    folder: Path | None = None,
    beside: Sequence[Film] = (),
) -> Path:
    """Write `report.html` into `folder` (default: the first run's), and a film into every run that has none.

    All runs must show one scene at one size; films of something else come last, `beside` theirs. `title` is by
    default the scene's name; `command` is what repeats the run at a shell. Returns the report's path.
    """
    runs = (Run.opened(runs),) if isinstance(runs, Run | str | Path) else runs
    path = (folder or runs[0].folder) / REPORT_FILE
    scene = load_run_scene(runs[0])
    metrics = [read_metrics(run.folder) for run in runs]
    films = tuple(Film(run_label(run), _orbit(run, scene)) for run in runs)
    report = Report(
        title=title or scene.name,
        subtitle=f"{len(scene.indices('train'))} training and {len(scene.indices('test'))} test views "
        f"of {scene.size[1]}x{scene.size[0]} pixels",
        command=command,
        status="; ".join(
            f"{run_label(run)}: {m['training_seconds']:.0f} s of training"
            for run, m in zip(runs, metrics, strict=True)
        ),
        headlines=_headlines(runs, metrics),
        charts=_charts(runs, metrics),
        groups=_picture_groups(runs, scene),
        films=(*films, *beside),
        tables=_tables(runs, metrics),
        notes=tuple(dict.fromkeys(_notes(runs, metrics))),
        configuration={run_label(run): run.to_json() for run in runs},
    )
    write_report(path, report)
    return path


def capture_advice(run: Run, metrics: Mapping[str, Any]) -> list[str]:
    """What is wrong with the fit of a capture, as its `metrics.json` has it, and what helps, in sentences."""
    if "capture" not in metrics:
        return []
    return advice(metrics["capture"], field=run.config.fit.field.kind, bounds=run.frame.bounds)


def _notes(runs: Sequence[Run], metrics: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    several = len(runs) > 1
    for run, values in zip(runs, metrics, strict=True):
        for note in capture_advice(run, values):
            yield f"{run_label(run)}: {note}" if several else note
    for values in metrics:
        yield from values["notes"]


def run_label(run: Run) -> str:
    """Name a run for the report, such as "RGB NeRF (kplanes)" or "Latent Gaussians (base)"."""
    kind, autoencoder = run.config.fit.field.kind, run.config.autoencoder
    space = {"rgb": "RGB", "latent": "Latent", "both": "RGB and latent"}[run.config.fit.space]
    model = "Gaussians" if kind == "gaussians" else "NeRF"
    if autoencoder is not None and Path(autoencoder).is_absolute():
        autoencoder = Path(autoencoder).name
    details = [name for name in (kind if model == "NeRF" else None, autoencoder) if name is not None]
    return f"{space} {model} ({', '.join(details)})" if details else f"{space} {model}"


def _orbit(run: Run, scene: Scene) -> Path:
    """The film of a run, which is made unless there is one already that is newer than what the run came to."""
    path = run.folder / "orbit.mp4"
    if path.is_file() and path.stat().st_mtime_ns > (run.folder / METRICS_FILE).stat().st_mtime_ns:
        return path
    train = scene.cameras[scene.indices("train")]
    cameras = film_cameras(train, frames=ORBIT_FRAMES, bounds=run.frame.bounds)
    write_mp4(path, orbit_frames(run, cameras), fps=16)
    return path


def _headlines(runs: Sequence[Run], metrics: Sequence[Mapping[str, Any]]) -> tuple[Headline, ...]:
    lines = []
    for run, values in zip(runs, metrics, strict=True):
        detail = f"test PSNR after {values['training_seconds']:.0f} s"
        if "colors" in values["test"]:
            colors = f"{_mean(values, 'colors', 'psnr'):.2f}"
            lines.append(Headline(f"{run_label(run)}: colours", colors, "dB", detail))
            detail = "test PSNR of the same scene's decoded latents"
        lines.append(Headline(run_label(run), f"{_mean(values, 'images', 'psnr'):.2f}", "dB", detail))
    for run, values in zip(runs, metrics, strict=True):
        if run.config.autoencoder is not None:
            if values["after_supervision"]:
                lines.append(
                    Headline(
                        "After Latent Supervision",
                        f"{values['after_supervision']['test_psnr']:.2f}",
                        "dB",
                        "before RGB Alignment",
                    )
                )
            lines.append(
                Headline(
                    "Autoencoder alone",
                    f"{_mean(values, 'autoencoder', 'psnr'):.2f}",
                    "dB",
                    "encode and decode",
                )
            )
    return tuple(lines)


def _mean(metrics: Mapping[str, Any], group: str, name: str) -> float:
    return float(metrics["test"][group]["mean"][name])


def _charts(runs: Sequence[Run], metrics: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    logs = [_fit_log(run.folder) for run in runs]
    quality = _series(runs, logs, of_latents="test_psnr", of_colors="colors_psnr")
    levels = tuple(
        Level("autoencoder alone", _mean(values, "autoencoder", "psnr"))
        for values in metrics
        if "autoencoder" in values["test"]
    )
    losses = _series(runs, logs, of_latents="loss", of_colors="colors_loss")
    stages = _stages(logs[0])
    loss = Chart("Loss", "training seconds", "mean squared error", losses, stages=stages, scale="log")
    # Fits of less than a hundred steps have no curve.
    if not any(series.x for series in quality):
        return (loss,)
    axis = "test PSNR, dB (a few views)"
    return Chart("Quality", "training seconds", axis, quality, stages=stages, levels=levels), loss


def _series(
    runs: Sequence[Run], logs: Sequence[Sequence[Mapping[str, Any]]], *, of_latents: str, of_colors: str
) -> tuple[Series, ...]:
    """What the logs have under a name, and under that of colours beside latents."""
    lines = []
    for run, log in zip(runs, logs, strict=True):
        for label, name in ((run_label(run), of_latents), (f"{run_label(run)}: colours", of_colors)):
            known = [record for record in log if name in record]
            if known or name == of_latents:
                times = [record["seconds"] for record in known]
                lines.append(Series(label, times, [record[name] for record in known]))
    return tuple(lines)


def _fit_log(folder: Path) -> list[dict[str, Any]]:
    """The log of a fit. Raises InputError where a record lacks what the charts show."""
    records = read_log(folder)
    for number, record in enumerate(records, 1):
        optional = ("test_psnr", "colors_psnr", "colors_loss")
        values = [record.get("loss"), *(record.get(name, 0.0) for name in optional)]
        if not all(type(value) in (int, float) for value in values) or not isinstance(
            record.get("stage"), str
        ):
            raise InputError(
                log_path(folder), f"line {number}: expected a record of a fit, with loss and stage"
            )
    return records


def _stages(log: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
    aligned = [record["seconds"] for record in log if record["stage"] == "alignment"]
    if not aligned:
        return ()
    return (Stage("Latent Supervision (latents)", 0.0), Stage("RGB Alignment (RGB)", aligned[0]))


def _tables(runs: Sequence[Run], metrics: Sequence[Mapping[str, Any]]) -> tuple[Table, ...]:
    tables = []
    titles = {
        "colors": "Rendered colours against the images",
        "images": "Decoded renders against the images",
        "against_autoencoded": "Decoded renders against the autoencoded images",
        "latents": "Rendered against encoded latents (normalised)",
        "autoencoder": "The autoencoder alone against the images",
    }
    for group, title in titles.items():
        rows = [
            (run_label(run), values["test"][group]["mean"])
            for run, values in zip(runs, metrics, strict=True)
            if group in values["test"]
        ]
        if rows:
            names = tuple(rows[0][1])
            cells = tuple((label, *(f"{mean[name]:.3f}" for name in names)) for label, mean in rows)
            tables.append(Table(title, ("", *names), cells, note="Means over the test views."))
    shares = [
        (run_label(run), *(f"{values['capture'][name]:.0%}" for name in SHARES))
        for run, values in zip(runs, metrics, strict=True)
        if "capture" in values
    ]
    if shares:
        tables.append(Table(CAPTURE_TABLE, CAPTURE_COLUMNS, tuple(shares), note=CAPTURE_NOTE))
    return tuple(tables)


def _picture_groups(runs: Sequence[Run], scene: Scene) -> tuple[PictureGroup, ...]:
    chosen = evenly_spread(scene.indices("test"), SHOWN_VIEWS)
    truth = scene.images(chosen)
    shown = [part for run in runs for part in _shown(run)]
    rendered = [model.render(scene.cameras[chosen]) for _, model in shown]
    projection = _projection(runs, scene)
    groups = []
    for i, index in enumerate(chosen):
        rows = [
            _row(label, model, images[i], seen, i, truth[i], projection)
            for (label, model), (images, seen) in zip(shown, rendered, strict=True)
        ]
        groups.append(PictureGroup(f"Test view {Path(scene.image_names[int(index)]).stem}", tuple(rows)))
    return tuple(groups)


def _shown(run: Run) -> list[tuple[str, SceneModel]]:
    """What has a row of pictures in the report, with its label: the colours of a run that has both, too."""
    label = run_label(run)
    colors = [(f"{label}: colours", run.model.pictures)] if run.model.pictures is not run.model else []
    return [*colors, (label, run.model)]


def _projection(runs: Sequence[Run], scene: Scene) -> LatentProjection | None:
    for run in runs:
        if run.model.autoencoder is not None:
            some = evenly_spread(scene.indices("train"), 16)
            return LatentProjection.fit(run.model.encode(scene.images(some)))
    return None


def _row(
    label: str,
    model: SceneModel,
    image: Tensor,
    seen: Rendering,
    i: int,
    truth: Tensor,
    projection: LatentProjection | None,
) -> PictureRow:
    depth = torch.where(seen.opacity > OPAQUE, seen.depth, torch.inf)
    near, far = depth_range(depth)
    pictures: list[Picture | None] = [
        Picture("Ground truth", to_pixels(truth[None])[0]),
        Picture("Decoded render" if model.autoencoder is not None else "Render", to_pixels(image[None])[0]),
        Picture(f"Error x{ERROR_GAIN:.0f}", error_to_pixels(image[None], truth[None], gain=ERROR_GAIN)[0]),
    ]
    if model.autoencoder is not None and projection is not None:
        encoded = model.encode(truth[None])
        pictures += [
            Picture("Encoded latents", projection.pixels(encoded)[0]),
            Picture("Rendered latents", projection.pixels(seen.features[i : i + 1])[0]),
        ]
    else:
        pictures += [None, None]
    pictures.append(Picture("Depth, near in red", depth_to_pixels(depth[i, 0], near=near, far=far)))
    return PictureRow(label, tuple(pictures))
