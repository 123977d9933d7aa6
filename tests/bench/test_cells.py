import os
from pathlib import Path
from typing import Any

import pytest

from latentfields.bench.cells import Cell, run_cells


def count_up(path: Path) -> dict[str, Any]:
    """Notes in a file how often it was called."""
    calls = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(calls))
    return {"calls": calls, "process": os.getpid()}


def fail(message: str) -> dict[str, Any]:
    raise ValueError(message)


def cells(folder: Path, count: int) -> list[Cell]:
    return [Cell(f"cell-{i}", count_up, folder / f"calls-{i}") for i in range(count)]


def test_results_come_in_the_order_of_the_cells_and_are_computed_once(tmp_path: Path) -> None:
    first = run_cells(cells(tmp_path, 3), tmp_path / "out", processes=1, label="test")
    again = run_cells(cells(tmp_path, 4), tmp_path / "out", processes=1, label="test")
    assert list(again) == ["cell-0", "cell-1", "cell-2", "cell-3"]
    assert [result["calls"] for result in again.values()] == [1, 1, 1, 1]
    assert {name: again[name] for name in first} == first


def test_other_processes_do_the_same(tmp_path: Path) -> None:
    results = run_cells(cells(tmp_path, 3), tmp_path / "out", processes=2, label="test")
    assert [result["calls"] for result in results.values()] == [1, 1, 1]
    assert os.getpid() not in {result["process"] for result in results.values()}


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failing_cell_keeps_what_was_finished(tmp_path: Path, processes: int) -> None:
    jobs = [*cells(tmp_path, 1), Cell("broken", fail, "no such thing")]
    with pytest.raises(ValueError, match="no such thing"):
        run_cells(jobs, tmp_path / "out", processes=processes, label="test")
    results = run_cells(cells(tmp_path, 1), tmp_path / "out", processes=1, label="test")
    assert results["cell-0"]["calls"] == 1
