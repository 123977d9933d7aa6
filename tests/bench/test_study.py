"""What all studies do in the same way, by a study that takes no time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from latentfields.bench.rows import Claim, Measured, Pivot, Row, Rows, Value, at_least
from latentfields.bench.studies import run_study
from latentfields.bench.study import Findings, Study, Workplace
from latentfields.errors import ArgumentError, InputError
from latentfields.training.workers import Engine, Inline, LocalWorkers, Workers


def square(number: int) -> dict[str, Any]:
    if number > 99:
        raise ZeroDivisionError
    return {"square": number**2}


@dataclass(frozen=True, kw_only=True)
class Squares(Study):
    """Squares of numbers."""

    kind: ClassVar[str] = "bench squares"
    title = "Squares"
    about = "How large squares are."
    of_images = False
    tables = (
        Pivot("By number", {"number": "number"}, (Value("square", "square", ".0f"),)),
        Pivot("Cubes", {"number": "number"}, (Value("cube", "cube"),), needs="cube"),
    )

    numbers: tuple[int, ...] = (2, 3)
    """What is squared."""

    @staticmethod
    def from_earlier(values: Mapping[str, Any]) -> dict[str, Any]:
        return {"numbers" if name == "values" else name: value for name, value in values.items()}

    def read_inputs(self, out: Path) -> None:
        if not self.numbers:
            raise ArgumentError("numbers", "name at least one")

    def measure(self, place: Workplace) -> dict[str, Any]:
        cells = {f"square-{number}": ({"number": number}, partial(square, number)) for number in self.numbers}
        return {"fits": place.measure(cells, label="squares"), "notes": ["Numbers are whole."]}

    def rows(self, results: Any) -> Measured:
        return {"fits": Rows(Row.of(fit, number=fit["number"]) for fit in results["fits"])}

    def claims(self, measured: Measured) -> list[Claim]:
        return [at_least("Squares are large", measured["fits"].values("square"), 7.0)]


def test_cells_become_results_tables_and_pages(tmp_path: Path) -> None:
    findings = Squares().run(out=tmp_path / "out", command="latentfields bench squares")
    assert [table.title for table in findings.tables] == ["Claims of the paper", "By number"]
    assert findings.tables[1].rows == (("2", "4"), ("3", "9"))
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == findings.results
    assert findings.results["claims"][0]["holds"] is False
    assert findings.page == tmp_path / "out" / "report.html"
    assert "By number" in findings.page.read_text()
    document = (tmp_path / "out" / "page.md").read_text()
    assert document.startswith("# Squares\n\nHow large squares are.\n\n    latentfields bench squares\n\n")
    assert "| Squares are large | >= +7.00 dB | +6.50 ± 3.54 dB | NO |" in document
    assert document.endswith("- Numbers are whole.\n")


def test_a_list_of_results_is_one_row_each() -> None:
    rows = Study().rows([{"scene": "vases", "views": 5}, {"scene": "hats", "views": 7}])
    assert [(row.labels["scene"], row.values["views"]) for row in rows["fits"]] == [("vases", 5), ("hats", 7)]


def test_results_by_kind_are_lists_or_those_of_autoencoders_by_name() -> None:
    kinds = {"fits": [{"seed": 5, "psnr": 1.0}], "photos": {"base": {"images": 7}}, "notes": ["A note."]}
    rows = Study().rows(kinds)
    assert {kind: [row.labels for row in found] for kind, found in rows.items()} == {
        "fits": [{"seed": "5"}],
        "photos": [{"autoencoder": "base"}],
    }


def test_the_page_begins_with_the_claims_of_the_headline() -> None:
    class Headlined(Study):
        headline = "Squares are"

    claims = [at_least("Squares are large", [3.0, 4.0], 3.0), at_least("Cubes are", [9.0], 3.0)]
    (found,) = Headlined().headlines({}, claims)
    expected = ("Squares are large", "+3.50", "dB", ">= +3.00 dB")
    assert (found.label, found.value, found.unit, found.detail) == expected
    assert Study().headlines({}, claims) == []


def test_what_is_done_is_kept_when_a_cell_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        Squares(numbers=(2, 100)).run(out=tmp_path)
    monkeypatch.setitem(globals(), "square", lambda number: {"square": -1})
    findings = Squares(numbers=(2, 100)).run(out=tmp_path)
    assert [fit["square"] for fit in findings.results["fits"]] == [4, -1]


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (Squares(numbers=()), {}, "numbers: name at least one"),
        (Squares(), {"processes": 0}, "processes: is 0; expected at least 1"),
        (Squares(), {"device": "tpu"}, "device: is 'tpu'; expected auto or one of cpu"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    tmp_path: Path, config: Squares, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        config.run(out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_settings_of_earlier_versions_are_understood(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"values": [2, 3]}')
    assert len(Squares().run(out=tmp_path).results["fits"]) == 2
    with pytest.raises(InputError, match=r"other settings \(numbers: \[2, 3\] there, \[4\] now\)"):
        Squares(numbers=(4,)).run(out=tmp_path)


def test_folders_of_other_runs_are_left_as_they_are(tmp_path: Path) -> None:
    other = '{"scene": "vases"}'
    (tmp_path / "config.json").write_text(other)
    with pytest.raises(InputError, match="holds a run with other settings"):
        Squares().run(out=tmp_path)
    assert (tmp_path / "config.json").read_text() == other


@pytest.mark.slow
def test_processes_take_cells_side_by_side(tmp_path: Path) -> None:
    place = Workplace(tmp_path, LocalWorkers(2), "cpu")
    done = place.run({f"power-{n}": partial(power, 2, n) for n in range(3)}, label="powers")
    assert done == {"power-0": {"power": 1}, "power-1": {"power": 2}, "power-2": {"power": 4}}


class Counting:
    """This process, that notes how often it is asked to be there."""

    def __init__(self) -> None:
        self.opened_times = 0
        self.devices: list[str] = []

    def require_device(self, name: str) -> None:
        self.devices.append(name)

    @contextmanager
    def opened(self) -> Iterator[Workers]:
        self.opened_times += 1
        with Inline().opened() as workers:
            yield workers


@pytest.mark.parametrize("run", [Study.run, run_study])
def test_an_engine_computes_the_cells(run: Callable[..., Findings], tmp_path: Path) -> None:
    engine = Counting()
    findings = run(Squares(numbers=(2, 3, 4)), out=tmp_path, engine=engine, device="cpu")
    assert [fit["square"] for fit in findings.results["fits"]] == [4, 9, 16]
    # Once for the cells, and once for what machine it was.
    assert (engine.opened_times, engine.devices) == (2, ["cpu"])
    assert f"torch {torch.__version__}" in (tmp_path / "page.md").read_text()


def test_cells_that_are_timed_run_alone(tmp_path: Path) -> None:
    engine: Engine = Counting()
    place = Workplace(tmp_path, engine, "cpu")
    cells = {f"power-{n}": partial(power, 3, n) for n in range(3)}
    assert place.run_alone(cells, label="powers")["power-2"] == {"power": 9}
    assert isinstance(engine, Counting)
    assert engine.opened_times == 3


def power(base: int, exponent: int) -> dict[str, Any]:
    return {"power": base**exponent}
