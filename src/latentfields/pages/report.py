"""One self-contained HTML page about a run: no other file, no network, no script, light or dark.

The page is cheap to write and is replaced in one step, so that it can follow a run that is still going on.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from PIL import Image

from latentfields.errors import InputError
from latentfields.files import replacing
from latentfields.pages.charts import Chart, chart_svg, series_colours
from latentfields.pages.pictures import Pixels, encode_png

_EXACT_BYTES = 48 * 1024  # larger PNG files become WebP, or a page of 800 x 800 renders would take 30 MB
_LARGEST_SIDE = 512
_PIXELATED_SIDE = 96  # latents: shown as squares, not blurred


@dataclass(frozen=True)
class Headline:
    """A number that a reader should see first."""

    label: str
    value: str
    """The number as it should be read, such as "26.3"."""
    unit: str = ""
    detail: str = ""
    """A few words below: what it was measured on."""


@dataclass(frozen=True)
class Table:
    """Rows of text; columns of numbers are aligned to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """One cell per column, numbers already rounded as they should be read."""
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table '{self.title}': {len(row)} cells for {len(self.columns)} columns")


@dataclass(frozen=True)
class Picture:
    """A picture and what is said below it."""

    label: str
    pixels: Pixels
    """(H, W, 3) uint8. Up to 96 pixels on a side are shown as squares: latents need no enlarging."""

    @classmethod
    def read(cls, label: str, path: Path) -> Picture | None:
        """The picture of a PNG file; None where somebody has tidied it away."""
        if not path.is_file():
            return None
        with Image.open(path) as image:
            return cls(label, np.asarray(image.convert("RGB")))


@dataclass(frozen=True)
class PictureRow:
    """Pictures side by side; None leaves a gap, so that rows of a group stay aligned."""

    label: str
    """Such as the method; takes the colour of the curve of that name."""
    pictures: tuple[Picture | None, ...]


@dataclass(frozen=True)
class PictureGroup:
    """Rows that belong together, such as one test view by several methods."""

    title: str
    rows: tuple[PictureRow, ...]


@dataclass(frozen=True)
class Film:
    """An MP4 file to embed."""

    label: str
    path: Path


@dataclass(frozen=True)
class Report:
    """Everything a page says. Sections without content are left out."""

    title: str
    subtitle: str
    command: str | None
    """The exact command line that repeats the run; None where there was none."""
    status: str = ""
    """Such as "step 1200 of 5000" or "finished after 12 min"."""
    headlines: tuple[Headline, ...] = ()
    """The first one is set off."""
    charts: tuple[Chart, ...] = ()
    groups: tuple[PictureGroup, ...] = ()
    films: tuple[Film, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    """Plain sentences: what was left out and why, how numbers were obtained."""
    configuration: Mapping[str, object] = field(default_factory=dict)
    """Shown as JSON, folded away; what JSON does not know is shown by its `str`."""


def write_report(path: Path, report: Report) -> None:
    """Write the page to `path`, replaced in one step. Raises InputError when a film cannot be read."""
    page = render_report(report)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render_report(report: Report) -> str:
    """The HTML text of the page; equal reports give equal text."""
    return _template().render(
        report=report,
        colours=series_colours(report.charts),
        configuration=json.dumps(dict(report.configuration), indent=2, ensure_ascii=False, default=str),
        pixelated_side=_PIXELATED_SIDE,
        largest_side=_LARGEST_SIDE,
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        picture_uri=_picture_uri,
        film_uri=_film_uri,
        svg=lambda chart, colours: Markup(chart_svg(chart, colours)),
        numeric=_numeric_columns,
    )
    text = files("latentfields.pages").joinpath("report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(text)


def _picture_uri(pixels: Pixels) -> str:
    png = encode_png(pixels)
    if len(png) <= _EXACT_BYTES:
        return _data_uri("image/png", png)
    image = Image.fromarray(pixels)
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.BOX)
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=90)
    return _data_uri("image/webp", buffer.getvalue())


def _film_uri(film: Film) -> str:
    try:
        return _data_uri("video/mp4", film.path.read_bytes())
    except OSError as error:
        problem = f"expected an MP4 file for the film '{film.label}' ({error.strerror})"
        raise InputError(film.path, problem) from error


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _numeric_columns(table: Table) -> list[bool]:
    """For every column, whether all of its cells are numbers, dashes or empty."""
    return [all(_is_numeric(row[index]) for row in table.rows) for index in range(len(table.columns))]


def _is_numeric(cell: str) -> bool:
    try:
        float(cell.replace(",", "") or 0)
    except ValueError:
        return cell in ("-", "–")
    return True
