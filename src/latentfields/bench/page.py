"""The pages of a study: `report.html` with pictures and charts, and `page.md`, a document for docs/results/."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import latentfields
from latentfields.bench.rows import Row
from latentfields.files import replacing
from latentfields.pages.report import Picture, PictureGroup, PictureRow, Report, Table, write_report
from latentfields.process import choose_device


def write_pages(report: Report, page: Path, *, device: str) -> None:
    """Write the HTML page, and beside it the Markdown page: `page.md` for `report.html`, otherwise of the same name."""
    write_report(page, report)
    document = page.with_name("page.md") if page.stem == "report" else page.with_suffix(".md")
    with replacing(document) as temporary:
        temporary.write_text(markdown_page(report, machine=machine(device)), encoding="utf-8")


def markdown_page(report: Report, *, machine: str) -> str:
    """Return a document that says what was measured, by which command and where, and what came out."""
    parts = [f"# {report.title}", report.subtitle, f"    {report.command}", machine]
    parts += map(markdown, report.tables)
    parts += ["\n".join(f"- {note}" for note in report.notes)] if report.notes else []
    return "\n\n".join(parts) + "\n"


def markdown(table: Table) -> str:
    """Return a table as GitHub shows it, and its note."""
    lines = [f"**{table.title}**", "", "| " + " | ".join(table.columns) + " |"]
    lines.append("|" + "---|" * len(table.columns))
    lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join([*lines, "", table.note] if table.note else lines)


def machine(device: str) -> str:
    """Return the hardware and the versions that this is printed with."""
    target = choose_device(device)
    where = f"{_processor()}, {os.cpu_count()} cores"
    if target.type == "cuda":
        where = f"{torch.cuda.get_device_name(target)}; {where}"
    commit = _commit()
    version = f"latentfields {latentfields.__version__}" + (f", commit {commit}" if commit else "")
    return f"{where}. torch {torch.__version__}, {version}."


def _processor() -> str:
    """The processor's model, as Linux names it; elsewhere its architecture."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _commit() -> str | None:
    """The commit of the repository that this package is run from; None for an installed one."""
    package = Path(latentfields.__file__)
    git = ["git", "-C", str(package.parent)]
    try:
        # An installed package may lie below a repository without belonging to it.
        subprocess.run([*git, "ls-files", "--error-unmatch", package.name], check=True, capture_output=True)
        found = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def first_views(
    rows: Sequence[Row], folder: Path, *, groups: Sequence[str], methods: Sequence[str]
) -> list[PictureGroup]:
    """Return truth and rendering of the first test view of fits, whose label `picture` is a file in `folder`.

    `groups` are the labels that pictures of a group share, `methods` those that tell them apart, where they have them.
    """
    found: dict[str, list[PictureRow]] = {}
    for row in rows:
        if (pair := read_picture("", folder / row.labels["picture"])) is not None:
            truth, decoded = np.split(pair.pixels, 2, axis=1)
            pictures = Picture("truth", truth), Picture("decoded", decoded)
            title, method = (
                ", ".join(filter(None, map(row.labels.get, names))) for names in (groups, methods)
            )
            found.setdefault(title, []).append(PictureRow(method, pictures))
    return [PictureGroup(title, tuple(shown)) for title, shown in found.items()]


def read_picture(label: str, path: Path) -> Picture | None:
    """Return a PNG file as a picture; None where somebody has tidied it away."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return Picture(label, np.asarray(image.convert("RGB")))
