"""A report as a Markdown document, such as those of `docs/results/`, and the machine that it names."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch

import latentfields
from latentfields.files import replacing
from latentfields.pages.report import Report, Table
from latentfields.process import choose_device


def write_markdown(path: Path, report: Report, *, machine: str) -> None:
    """Write the document to `path`, replaced in one step."""
    with replacing(path) as temporary:
        temporary.write_text(markdown_page(report, machine=machine), encoding="utf-8")


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
