"""`report.html` of a collection: how good its objects are, what they take, and pictures of some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from latentfields.fused_planes.config import CollectionRunConfig
from latentfields.fused_planes.objects import object_path
from latentfields.pages.charts import Chart, Series
from latentfields.pages.pictures import to_pixels
from latentfields.pages.report import Headline, Picture, PictureGroup, PictureRow, Report, write_report
from latentfields.training.loop import read_log

VIEWS_SHOWN = 4
"""Held-out views of every object that is shown."""


@dataclass(frozen=True, eq=False)
class Pictured:
    """Held-out views of an object."""

    name: str
    truth: Tensor
    """(B, 3, H, W) in [0, 1]."""
    decoded: Tensor
    """(B, 3, H, W) in [0, 1], rendered."""

    def row(self) -> PictureRow:
        """Every view beside its rendering, in one row for each object: many fit on a page."""
        pictures: list[Picture] = []
        for truth, decoded in zip(to_pixels(self.truth), to_pixels(self.decoded[:VIEWS_SHOWN]), strict=False):
            pictures += [Picture("truth", truth), Picture("rendered", decoded)]
        return PictureRow(self.name, tuple(pictures))


def write_page(
    out: Path,
    run: CollectionRunConfig,
    pictured: Sequence[Pictured],
    measured: Mapping[str, Any],
    *,
    command: str | None,
) -> None:
    """Write the page of a collection whose files are there."""
    names = list(measured["objects"])
    own = object_path(out, names[0]).stat().st_size
    seconds = sum(phase["training_seconds"] for phase in measured["phases"].values())
    report = Report(
        title=f"A collection of {len(names)} objects",
        subtitle=f"Fused planes, {run.autoencoder or 'colours'}: {run.training.planes.base_planes} base Tri-Planes, "
        f"{run.training.planes.micro_features} features of each object's own",
        command=command,
        status=f"{seconds:.0f} s of training, {seconds / len(names):.1f} s for each object",
        headlines=(
            Headline(
                "rendered held-out views", f"{measured['held_out_psnr']:.2f}", "dB", "PSNR, mean over objects"
            ),
            Headline("an object", f"{own / 1000:.1f}", "kB"),
        ),
        charts=tuple(_charts(out, measured["phases"])),
        groups=(PictureGroup("Held-out views", tuple(item.row() for item in pictured)),) if pictured else (),
        configuration=asdict(run.training),
    )
    write_report(out / "report.html", report)


def _charts(out: Path, phases: Mapping[str, Any]) -> list[Chart]:
    """The terms of the loss in every phase."""
    charts = []
    for phase in phases:
        records = read_log(out / phase)
        names = [name for name in ("latent", "rgb", "autoencoder") if name in records[0]]
        steps = [record["step"] for record in records]
        curves = tuple(Series(name, steps, [record[name] for record in records]) for name in names)
        charts.append(Chart(phase, "step", "loss", curves, scale="log"))
    return charts
