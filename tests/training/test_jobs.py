import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.jobs import count_up, die_once, fail, fail_once, refuse, stop_others, train_forever
from latentfields.errors import InputError
from latentfields.training.jobs import Cell, Failure, Job, run_cells, run_jobs
from latentfields.training.loop import checkpoint_path
from latentfields.training.workers import Engine, Inline, LocalWorkers


def cells(folder: Path, count: int) -> list[Cell]:
    return [Cell(f"cell-{i}", count_up, folder / f"calls-{i}") for i in range(count)]


def test_results_come_in_the_order_of_the_cells_and_are_computed_once(tmp_path: Path) -> None:
    first = run_cells(cells(tmp_path, 3), tmp_path / "out", engine=Inline(), label="test")
    again = run_cells(cells(tmp_path, 4), tmp_path / "out", engine=Inline(), label="test")
    assert list(again) == ["cell-0", "cell-1", "cell-2", "cell-3"]
    assert [result["calls"] for result in again.values()] == [1, 1, 1, 1]
    assert {name: again[name] for name in first} == first


@pytest.mark.slow
def test_other_processes_do_the_same(tmp_path: Path) -> None:
    results = run_cells(cells(tmp_path, 3), tmp_path / "out", engine=LocalWorkers(2), label="test")
    assert [result["calls"] for result in results.values()] == [1, 1, 1]
    assert os.getpid() not in {result["process"] for result in results.values()}


@pytest.mark.slow
@pytest.mark.parametrize("engine", [Inline(), LocalWorkers(2)], ids=["here", "in others"])
def test_a_failing_cell_keeps_what_was_finished(tmp_path: Path, engine: Engine) -> None:
    jobs = [*cells(tmp_path, 1), Cell("broken", fail, "no such thing")]
    with pytest.raises(ValueError, match="no such thing"):
        run_cells(jobs, tmp_path / "out", engine=engine, label="test")
    results = run_cells(cells(tmp_path, 1), tmp_path / "out", engine=Inline(), label="test")
    assert results["cell-0"]["calls"] == 1


def test_a_job_that_fails_is_tried_again_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    jobs: list[Job[Any, Any]] = [
        Job("bad", refuse, tmp_path / "bad"),
        Job("shaky", fail_once, tmp_path / "shaky"),
        Job("broken", fail, "no such thing"),
        Job("good", count_up, tmp_path / "good"),
    ]
    failures = run_jobs(
        jobs,
        engine=Inline(),
        label="test",
        done=lambda job, result: done.append(job.name),
    )
    assert done == ["good", "shaky"]
    assert [(failure.name, failure.attempts) for failure in failures] == [("bad", 1), ("broken", 2)]
    # Bad input stays bad, and is not looked at twice.
    assert (tmp_path / "bad").read_text() == "1"
    assert "shaky failed and is tried again: ValueError: not yet" in caplog.text
    assert f"bad failed: {tmp_path / 'bad'}: is no good" in caplog.text


def test_jobs_are_tried_as_often_as_asked_for(tmp_path: Path) -> None:
    (failure,) = run_jobs([Job("broken", fail, "")], engine=Inline(), label=None, retries=3)
    assert failure.attempts == 4
    (failure,) = run_jobs([Job("shaky", fail_once, tmp_path / "x")], engine=Inline(), label=None, retries=0)
    assert failure.attempts == 1


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_nothing_with_it_but_its_attempt(tmp_path: Path) -> None:
    jobs = [Job(f"good-{number}", count_up, tmp_path / str(number)) for number in range(3)]
    found: dict[str, dict[str, Any]] = {}
    killed = Job("killed", die_once, tmp_path / "killed")
    failures = run_jobs(
        [killed, *jobs],
        engine=LocalWorkers(2),
        label="test",
        done=lambda job, result: found.update({job.name: result}),
    )
    assert not failures
    assert [found[job.name]["calls"] for job in jobs] == [1, 1, 1]
    assert found.keys() == {"killed", *(job.name for job in jobs)}


@pytest.mark.slow
def test_what_a_callback_raises_stops_the_others_which_save_their_state(tmp_path: Path) -> None:
    def stop(failure: Failure) -> None:
        raise failure.error

    jobs = [
        Job("forever", train_forever, tmp_path),
        Job("enough", stop_others, tmp_path / "begun"),
    ]
    started = time.monotonic()
    with pytest.raises(InputError, match="is enough"):
        run_jobs(jobs, engine=LocalWorkers(2), label=None, failed=stop)
    assert time.monotonic() - started < 60
    assert checkpoint_path(tmp_path).is_file()


@pytest.mark.slow
def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    hearts = [tmp_path / "first", tmp_path / "second"]
    script = (
        "from pathlib import Path; from helpers.jobs import beat; "
        "from latentfields.training.jobs import Cell, run_cells;"
        "from latentfields.training.workers import LocalWorkers;"
        f"run_cells([Cell(name, beat, Path({str(tmp_path)!r}) / name) for name in ('first', 'second')], "
        f"Path({str(tmp_path / 'out')!r}), engine=LocalWorkers(2), label='test')"
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
    run_cells([cell], tmp_path / "out", engine=Inline(), label="")
    (file,) = (tmp_path / "out").rglob("cell-0.json")
    file.write_text(content)
    with pytest.raises(InputError, match=r"cell-0\.json: is no result of this study; delete it"):
        run_cells([cell], tmp_path / "out", engine=Inline(), label="")
