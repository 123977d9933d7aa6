"""Jobs on a Ray cluster of two nodes, one of which dies: the same as anywhere else."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.jobs import count_up, die_once, fail, refuse, say, wait_to_go, where
from latentfields.errors import ArgumentError, InputError
from latentfields.training.jobs import Cell, Job, run_cells, run_jobs
from latentfields.training.ray_cluster import RayCluster
from latentfields.training.workers import Inline


def test_without_ray_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"ray: is not installed; .* pip install 'latentfields\[cluster\]'"):
        run_jobs([Job("one", say, "word")], engine=RayCluster(), label=None)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ArgumentError, match="gpus: is -1"), RayCluster(gpus=-1).opened():
        pass


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of this machine, with one processor core each."""
    utilities = pytest.importorskip("ray.cluster_utils", reason="needs Ray, the extra `cluster`")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_AUTH_MODE", "disabled")  # It keeps a token in the user's folder.
        # Nodes find the jobs of these tests, too.
        patched.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        made = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        made.second = made.add_node(num_cpus=1)
        made.wait_for_nodes()
        yield made
        made.shutdown()


@pytest.mark.slow
def test_jobs_find_what_they_would_find_here(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTFIELDS_TEST", "there")
    found: dict[str, Any] = {}
    jobs: list[Job[Any, Any]] = [
        Job("where", where, "LATENTFIELDS_TEST"),
        Job("killed", die_once, Path("killed")),
        Job("broken", fail, "no such thing"),
        Job("bad", refuse, Path("bad")),
        Job("talks", say, "hello", log=Path("logs/talks.log")),
    ]
    failures = run_jobs(
        jobs,
        engine=RayCluster(cluster.address),
        label="test",
        done=lambda job, result: found.update({job.name: result}),
    )
    assert found.keys() == {"where", "killed", "talks"}
    assert found["where"] == {"folder": str(tmp_path), "threads": 1, "value": "there"}
    assert {failure.name: failure.attempts for failure in failures} == {"bad": 1, "broken": 2}
    assert (tmp_path / "logs" / "talks.log").read_text() == "hello\nhello again\n"


@pytest.mark.slow
def test_cells_of_studies_are_computed_there_and_kept_here(cluster: Any, tmp_path: Path) -> None:
    cells = [Cell(f"cell-{number}", count_up, tmp_path / f"calls-{number}") for number in range(2)]
    engine = RayCluster(cluster.address)
    results = run_cells(cells, tmp_path / "out", engine=engine, label="test")
    assert [result["calls"] for result in results.values()] == [1, 1]
    assert os.getpid() not in {result["process"] for result in results.values()}
    assert run_cells(cells, tmp_path / "out", engine=Inline(), label="test") == results


@pytest.mark.slow
def test_a_lost_node_takes_nothing_with_it_but_an_attempt(cluster: Any, tmp_path: Path) -> None:
    def kill_when_both_have_jobs() -> None:
        end = time.monotonic() + 60
        while not all((tmp_path / name).exists() for name in names) and time.monotonic() < end:
            time.sleep(0.1)
        cluster.remove_node(cluster.second, allow_graceful=False)
        (tmp_path / "go").touch()

    names = ["first", "second"]
    killer = threading.Thread(target=kill_when_both_have_jobs)
    killer.start()
    found: dict[str, Any] = {}
    failures = run_jobs(
        [Job(name, wait_to_go, tmp_path / name) for name in names],
        engine=RayCluster(cluster.address),
        label="test",
        done=lambda job, result: found.update({job.name: result}),
    )
    killer.join()
    assert not failures
    # Each node had one of them; that of the second was begun again on the first.
    assert sorted(result["calls"] for result in found.values()) == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("address", ["localhost:1", "localhost:port", "nowhere.invalid:6379"])
def test_an_address_without_a_cluster_is_one_line(address: str) -> None:
    pytest.importorskip("ray", reason="needs Ray, the extra `cluster`")
    with pytest.raises(ArgumentError, match=f"address: is {address}, where no cluster can be had"):
        run_jobs([Job("one", say, "word")], engine=RayCluster(address), label=None)
