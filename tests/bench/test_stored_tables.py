"""Benchmarks that version 0.1.0 ran (`stored/bench/`): their cells give the same results, these the same tables."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from latentfields import (
    AutoencodersStudyConfig,
    ConvergenceStudyConfig,
    FieldsStudyConfig,
    IgaeStudyConfig,
    LrfStudyConfig,
    ReconstructionStudyConfig,
)
from latentfields.bench.ablations import AblationsStudyConfig
from latentfields.bench.fields import TIMES
from latentfields.bench.studies import ALIASES
from latentfields.bench.study import Study
from latentfields.config.typed_json import from_json
from latentfields.files import read_json
from latentfields.pages.markdown import markdown
from latentfields.pages.report import Table

STORED = Path(__file__).parents[1] / "stored"


@dataclass(frozen=True)
class Stored:
    """A benchmark that was run."""

    results: str
    """File of the results, as its command prints them with --json."""
    tables: dict[str, Callable[[Any], Sequence[Table]]]
    """For each file of text, the function that makes its tables of the results."""
    run: Callable[[Path], Any]
    """Goes on with the benchmark in a folder, as its command does."""


class TimesAlone(FieldsStudyConfig):
    """What `bench rgb-vs-latent` printed before it became a study of its own."""

    tables = (TIMES,)


def tables(study: Study) -> Callable[[Any], Sequence[Table]]:
    """Return the function that makes the study's tables of its results."""
    return lambda results: study.all_tables(study.rows(results))


def again(study: type[Study], *more: str, **changes: Any) -> Callable[[Path], Any]:
    """Return the function that goes on with a study: of config.json, and those in the folders `more`, and `changes`."""
    known = {entry.name for entry in dataclasses.fields(study)}

    def run(out: Path) -> Any:
        settings: dict[str, Any] = {}
        for folder in (out, *(out / name for name in more)):
            settings |= read_json(folder / "config.json")
        if hasattr(study, "from_earlier"):
            settings = study.from_earlier(settings)
        settings = {name: value for name, value in settings.items() if name in known}
        return from_json(study, settings | changes, source=out).run(out=out).results

    return run


BENCHMARKS = {
    "ablations": Stored(
        "ablations/results.json",
        {"tables.md": tables(AblationsStudyConfig())},
        again(AblationsStudyConfig, "ablations"),
    ),
    "autoencoders": Stored(
        "printed.json", {"tables.md": tables(AutoencodersStudyConfig())}, again(AutoencodersStudyConfig)
    ),
    "convergence": Stored(
        "convergence.json",
        {
            "tables-8.md": tables(ConvergenceStudyConfig(quality=8.0)),
            "tables-25.md": tables(ConvergenceStudyConfig(quality=25.0)),
        },
        again(ConvergenceStudyConfig, plain=True),
    ),
    "fields": Stored(
        "results.json",
        {f"{name}.md": tables(ALIASES[name].study()) for name in ("table1", "table4", "latent-nvs")}
        | {"rgb-vs-latent.md": tables(TimesAlone())},
        again(FieldsStudyConfig),
    ),
    "igae": Stored("results.json", {"tables.md": tables(IgaeStudyConfig())}, again(IgaeStudyConfig)),
    "lrf": Stored("results.json", {"tables.md": tables(LrfStudyConfig())}, again(LrfStudyConfig)),
    "reconstruction": Stored(
        "results.json",
        {"tables.md": tables(ReconstructionStudyConfig(autoencoders=("base",)))},
        again(ReconstructionStudyConfig),
    ),
}


def without_notes(results: Any) -> Any:
    """Notes say which packages the machine lacks, and are in no table."""
    if isinstance(results, dict):
        return {name: value for name, value in results.items() if name != "notes"}
    return results


@pytest.mark.parametrize(
    ("name", "file"), [(name, file) for name, stored in BENCHMARKS.items() for file in stored.tables]
)
def test_results_give_the_tables_that_were_printed(name: str, file: str) -> None:
    stored, folder = BENCHMARKS[name], STORED / "bench" / name
    tables = stored.tables[file](read_json(folder / stored.results))
    assert "\n\n".join(map(markdown, tables)) + "\n" == (folder / file).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_cells_give_the_results_that_were_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, out = BENCHMARKS[name], Path("bench") / name
    shutil.copytree(STORED / out, tmp_path / out)
    for folder in ("autoencoders", "photos", "scenes"):
        (tmp_path / folder).symlink_to(STORED / folder)
    (tmp_path / out / stored.results).unlink()
    # Paths in the files are relative.
    monkeypatch.chdir(tmp_path)
    again = json.loads(json.dumps(stored.run(out)))
    expected = read_json(STORED / out / stored.results)
    assert without_notes(again) == without_notes(expected)
    if stored.results != "printed.json":
        assert read_json(out / stored.results) == again
    cells = {path.name: path.read_bytes() for path in (out / "cells").iterdir()}
    # None was computed again, and none is new.
    assert cells == {path.name: path.read_bytes() for path in (STORED / out / "cells").iterdir()}
