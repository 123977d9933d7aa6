"""A table of fits (`bench.grid`) as a page, with pictures of the first objects and with charts where there are any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latentfields.pages.charts import Chart
from latentfields.pages.report import Picture, PictureGroup, PictureRow, Report, Table, write_report


def write_grid_page(
    path: Path,
    fits: Sequence[Mapping[str, Any]],
    *,
    title: str,
    tables: Sequence[Table],
    charts: Sequence[Chart] = (),
    command: str,
) -> None:
    """Write the page to `path`, in the benchmark's folder; pictures are of the first object of every family."""
    first = min(fit["seed"] for fit in fits)
    shown = [fit for fit in fits if fit["seed"] == first]
    groups = tuple(
        PictureGroup(family, tuple(_row(fit, path.parent) for fit in shown if fit["family"] == family))
        for family in dict.fromkeys(fit["family"] for fit in shown)
    )
    subtitle = (
        "Radiance fields of objects that nothing was trained on: the first test view of one of each family."
    )
    report = Report(
        title=title,
        subtitle=subtitle,
        command=command,
        charts=tuple(charts),
        groups=groups,
        tables=tuple(tables),
    )
    write_report(path, report)


def _row(fit: Mapping[str, Any], folder: Path) -> PictureRow:
    label = ", ".join(fit[key] for key in ("field", "space", "path") if key in fit)
    return picture_row(label, folder / fit["picture"])


def picture_row(label: str, path: Path) -> PictureRow:
    """A fit's picture file (`nvs.FitJob`) as two pictures: truth and rendering."""
    with Image.open(path) as image:
        pair = np.asarray(image.convert("RGB"))
    middle = pair.shape[1] // 2
    return PictureRow(label, (Picture("truth", pair[:, :middle]), Picture("decoded", pair[:, middle:])))
