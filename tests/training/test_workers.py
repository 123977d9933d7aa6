"""Processes of this machine: what they see, what they print, and what is heard of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from helpers.jobs import die_once, environment, fail, raise_odd, say, visible_device
from latentfields.errors import ArgumentError
from latentfields.training import workers as workers_module
from latentfields.training.jobs import Job, run_jobs
from latentfields.training.loop import Interrupted
from latentfields.training.workers import (
    Call,
    JobError,
    LocalWorkers,
    Lost,
    answer,
    call_alone,
    received,
    usual_processes,
    visible_devices,
)


@pytest.mark.slow
def test_every_process_sees_a_gpu_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "visible_devices", lambda: ("4", "7"))
    found = {}
    run_jobs(
        [Job(name, visible_device, tmp_path / name) for name in ("first", "second")],
        engine=LocalWorkers(2),
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
    assert [usual_processes(device) for device in ("auto", "cuda", "cuda:1")] == [2, 2, 1]
    assert usual_processes("cpu") >= 1
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert visible_devices() == ()
    assert usual_processes("auto") >= 1


@pytest.mark.slow
def test_one_worker_does_what_it_is_told_and_survives_what_it_can(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "say.log"
    calls = [
        Call(say, "hello", log),
        Call(fail, "no"),
        Call(raise_odd, "odd"),
        Call(die_once, tmp_path / "x"),
    ]
    ends = []
    with LocalWorkers(1, environment={"LATENTFIELDS_TEST": "there"}).opened() as workers:
        for number, call in enumerate(
            [*calls, Call(environment, "LATENTFIELDS_TEST"), Call(say, "you", log)]
        ):
            assert workers.has_room()
            workers.start(number, call)
            assert not workers.has_room()
            ends += workers.wait()
    said, failed, odd, dead, seen, again = ends
    assert [end.number for end in ends] == [0, 1, 2, 3, 4, 5]
    assert log.read_text() == "hello\nhello again\nyou\nyou again\n"
    assert isinstance(failed.error, ValueError)
    assert "in fail" in str(failed.error.__cause__)
    assert isinstance(odd.error, JobError)
    assert str(odd.error) == "Odd: odd thing"
    assert isinstance(dead.error, Lost)
    assert str(dead.error) == "its process was ended by SIGKILL"
    assert seen.result == "there"
    assert again.result["process"] != said.result["process"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_call_in_a_process_of_its_own_has_an_environment_of_its_own(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "_START_METHOD", method)
    monkeypatch.setenv("SINCE", "a moment")
    assert call_alone(environment, "SINCE", environment={}) == "a moment"
    assert call_alone(environment, "SHIP", environment={"SHIP": "afloat"}) == "afloat"
    with pytest.raises(ValueError, match="aground"):
        call_alone(fail, "aground", environment={})


@pytest.mark.slow
def test_processes_start_where_the_path_of_a_socket_would_be_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("long" * 30)))
    assert call_alone(environment, "SHIP", environment={"SHIP": "afloat"}) == "afloat"


def test_a_training_that_was_told_to_stop_is_lost_not_wrong() -> None:
    ended = received(7, answer(Call(_interrupt, Path("runs/a"))))
    assert ended.number == 7
    assert isinstance(ended.error, Lost)
    again = pickle.loads(pickle.dumps(Interrupted(Path("runs/a"), 3)))  # noqa: S301
    assert str(again) == str(Interrupted(Path("runs/a"), 3))


def _interrupt(folder: Path) -> None:
    raise Interrupted(folder, 3)


def test_results_that_cannot_be_sent_are_an_error() -> None:
    ended = received(0, answer(Call(_local, None)))
    assert isinstance(ended.error, JobError)


def _local(argument: None) -> object:
    return lambda: argument


def test_a_gpu_of_a_number_is_for_processes_that_see_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    LocalWorkers(2, device="cuda:1").require_device("cuda:1")
    LocalWorkers(2).require_device("cpu")
    with pytest.raises(ArgumentError, match="device: is 'cuda:1', for processes with the device auto"):
        LocalWorkers(2).require_device("cuda:1")
    with pytest.raises(ArgumentError, match="device: is 'cuda:2'; expected auto or one of"):
        LocalWorkers(2, device="cuda:2").require_device("cuda:2")


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ArgumentError, match="processes: is 0; expected at least 1"), LocalWorkers(0).opened():
        pass
