import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.jobs import count_up, fail, visible_device
from latentfields.errors import InputError
from latentfields.training import jobs as jobs_module
from latentfields.training.jobs import Cell, Job, run_cells, run_jobs, visible_devices


def cells(folder: Path, count: int) -> list[Cell]:
    return [Cell(f"cell-{i}", count_up, folder / f"calls-{i}") for i in range(count)]


def test_results_come_in_the_order_of_the_cells_and_are_computed_once(tmp_path: Path) -> None:
    first = run_cells(cells(tmp_path, 3), tmp_path / "out", processes=1, label="test")
    again = run_cells(cells(tmp_path, 4), tmp_path / "out", processes=1, label="test")
    assert list(again) == ["cell-0", "cell-1", "cell-2", "cell-3"]
    assert [result["calls"] for result in again.values()] == [1, 1, 1, 1]
    assert {name: again[name] for name in first} == first


@pytest.mark.slow
def test_other_processes_do_the_same(tmp_path: Path) -> None:
    results = run_cells(cells(tmp_path, 3), tmp_path / "out", processes=2, label="test")
    assert [result["calls"] for result in results.values()] == [1, 1, 1]
    assert os.getpid() not in {result["process"] for result in results.values()}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_failing_cell_keeps_what_was_finished(tmp_path: Path, processes: int) -> None:
    jobs = [*cells(tmp_path, 1), Cell("broken", fail, "no such thing")]
    with pytest.raises(ValueError, match="no such thing"):
        run_cells(jobs, tmp_path / "out", processes=processes, label="test")
    results = run_cells(cells(tmp_path, 1), tmp_path / "out", processes=1, label="test")
    assert results["cell-0"]["calls"] == 1


@pytest.mark.slow
def test_every_process_sees_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "visible_devices", lambda: ("4", "7"))
    found = {}
    run_jobs(
        [Job(name, visible_device, tmp_path / name) for name in ("first", "second")],
        processes=2,
        label="test",
        done=lambda job, result: found.update({job.name: result}),
    )
    assert {result["devices"] for result in found.values()} == {"4", "7"}
    assert {result["threads"] for result in found.values()} == {1}


def test_gpus_keep_the_names_that_the_process_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_devices() == ("0", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    assert visible_devices() == ("3", "GPU-5")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert visible_devices() == ()


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    hearts = [tmp_path / "first", tmp_path / "second"]
    script = (
        "from pathlib import Path; from helpers.jobs import beat; "
        "from latentfields.training.jobs import Cell, run_cells;"
        f"run_cells([Cell(name, beat, Path({str(tmp_path)!r}) / name) for name in ('first', 'second')], "
        f"Path({str(tmp_path / 'out')!r}), processes=2, label='test')"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL
    ) as parent:
        wait_for(lambda: all(heart.exists() for heart in hearts))
        parent.kill()

    def still() -> bool:
        sizes = [heart.stat().st_size for heart in hearts]
        time.sleep(1.0)
        return sizes == [heart.stat().st_size for heart in hearts]

    wait_for(still)


def wait_for(condition: Callable[[], bool]) -> None:
    """Well before the job of `beat` ends by itself."""
    end = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(
    "content", ["[1]", '{"psnr": 1e300}', '{"a": [{"b": NaN}]}', '{"a": 1' + "0" * 400 + "}"]
)
def test_results_that_nothing_can_have_measured_are_refused(tmp_path: Path, content: str) -> None:
    (cell,) = cells(tmp_path, 1)
    run_cells([cell], tmp_path / "out", processes=1, label="")
    (file,) = (tmp_path / "out").rglob("cell-0.json")
    file.write_text(content)
    with pytest.raises(InputError, match=r"cell-0\.json: is no result of this study; delete it"):
        run_cells([cell], tmp_path / "out", processes=1, label="")
