"""Reports as documents."""

from pathlib import Path

import pytest
import torch

import latentfields
from latentfields.pages import markdown as page
from latentfields.pages.markdown import machine, markdown, markdown_page
from latentfields.pages.report import Report, Table

TABLE = Table("Quality", ("NeRF", "PSNR, dB"), (("kplanes", "26.31 ± 0.42"),), note="On three objects.")


def test_tables_are_markdown_with_their_notes() -> None:
    lines = ["**Quality**", "", "| NeRF | PSNR, dB |", "|---|---|", "| kplanes | 26.31 ± 0.42 |"]
    assert markdown(TABLE).splitlines() == [*lines, "", "On three objects."]


def test_a_document_says_what_was_measured_how_and_where() -> None:
    report = Report(
        "Fields", "How good they are.", "latentfields bench fields", tables=(TABLE,), notes=("A.", "B.")
    )
    assert markdown_page(report, machine="A fast one.").split("\n\n", 4) == [
        "# Fields",
        "How good they are.",
        "    latentfields bench fields",
        "A fast one.",
        f"{markdown(TABLE)}\n\n- A.\n- B.\n",
    ]


def test_the_machine_is_named_with_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    version = f"torch {torch.__version__}, latentfields {latentfields.__version__}"
    monkeypatch.setattr(page, "_commit", lambda: "1234567")
    assert machine("cpu").endswith(f" cores. {version}, commit 1234567.")
    monkeypatch.setattr(page, "_commit", lambda: None)
    assert machine("cpu").endswith(f" cores. {version}.")


def test_an_installed_package_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latentfields, "__file__", str(tmp_path / "latentfields" / "__init__.py"))
    assert page._commit() is None
