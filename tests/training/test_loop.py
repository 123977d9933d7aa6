import errno
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor

from latentfields.errors import InputError
from latentfields.training import checkpoint, loop
from latentfields.training.checkpoint import load_tensors, save_tensors
from latentfields.training.loop import (
    Interrupted,
    LoopConfig,
    checkpoint_path,
    log_path,
    read_log,
    train,
)


class Walk:
    """A random walk: every step depends on all before it. `hooks` act at the end of a step."""

    def __init__(self, hooks: Mapping[int, Callable[[], None]] | None = None) -> None:
        self.position = torch.zeros(3)
        self.generator = torch.Generator().manual_seed(0)
        self.calls: list[tuple[int, float]] = []
        self.hooks = hooks or {}

    def step(self, index: int, progress: float) -> dict[str, float]:
        self.calls.append((index, progress))
        self.position = 0.9 * self.position + torch.randn(3, generator=self.generator)
        if index in self.hooks:
            self.hooks[index]()
        return {"loss": float(self.position.square().sum())}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"position": self.position, "generator": self.generator.get_state()}, {"note": "x"}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        assert metadata == {"note": "x"}
        self.position = tensors["position"]
        self.generator.set_state(tensors["generator"])


OFTEN = LoopConfig(checkpoint_seconds=0, log_every=3)


def run(walk: Walk, folder: Path, *, steps: int = 20, options: LoopConfig = OFTEN) -> float:
    return train(walk, steps=steps, folder=folder, label="walk", options=options)


def die() -> None:
    raise RuntimeError("the process died here")


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(record["step"], record["loss"]) for record in read_log(folder)]


def test_steps_come_in_order_with_their_progress(tmp_path: Path) -> None:
    walk = Walk()
    run(walk, tmp_path)
    assert walk.calls == [(index, index / 20) for index in range(20)]


def test_the_log_has_every_third_step_and_the_last(tmp_path: Path) -> None:
    run(Walk(), tmp_path)
    assert [step for step, _ in losses(tmp_path)] == [3, 6, 9, 12, 15, 18, 20]
    seconds = [record["seconds"] for record in read_log(tmp_path)]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize("every", [0.0, 1e9])
@pytest.mark.parametrize("deaths", [[7], [0], [19], [2, 3, 4, 11]])
def test_died_and_resumed_equals_uninterrupted(tmp_path: Path, deaths: list[int], every: float) -> None:
    options = LoopConfig(checkpoint_seconds=every, log_every=3)
    straight = Walk()
    run(straight, tmp_path / "straight", options=options)
    for death in deaths:
        with pytest.raises(RuntimeError, match="died here"):
            run(Walk({death: die}), tmp_path / "resumed", options=options)
    last = Walk()
    run(last, tmp_path / "resumed", options=options)
    assert torch.equal(last.position, straight.position)
    assert losses(tmp_path / "resumed") == losses(tmp_path / "straight")
    assert last.calls[0][0] == (deaths[-1] if every == 0 else 0)


def test_log_records_behind_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    options = LoopConfig(checkpoint_seconds=1e9, log_every=1)
    with pytest.raises(Interrupted):
        run(Walk({4: lambda: signal.raise_signal(signal.SIGINT)}), tmp_path, options=options)
    # Many steps more were done and logged, and lost with the process before the next checkpoint.
    with open(log_path(tmp_path), "a") as log:
        for step in range(6, 60):
            log.write(f'{{"step": {step}, "seconds": 1.0, "loss": 1.0}}\n')
        log.write('{"step": 60, "sec')
    assert [step for step, _ in losses(tmp_path)] == list(range(1, 60))
    run(Walk(), tmp_path, steps=8, options=options)
    assert [step for step, _ in losses(tmp_path)] == [1, 2, 3, 4, 5, 6, 7, 8]
    straight = tmp_path / "straight"
    run(Walk(), straight, steps=8, options=options)
    assert losses(tmp_path) == losses(straight)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(tmp_path: Path, kind: signal.Signals) -> None:
    before = signal.getsignal(kind)
    options = LoopConfig(checkpoint_seconds=1e9)
    with pytest.raises(Interrupted, match=f"interrupted at step 8; run the same command.*{tmp_path}"):
        run(Walk({7: lambda: signal.raise_signal(kind)}), tmp_path, options=options)
    assert signal.getsignal(kind) is before
    straight, resumed = Walk(), Walk()
    run(straight, tmp_path / "straight", options=options)
    run(resumed, tmp_path, options=options)
    assert resumed.calls[0][0] == 8
    assert torch.equal(resumed.position, straight.position)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own handler: a shell that starts the tests in the background has them ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)

    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        # Python runs handlers a little later; two signals before that would count as one.
        while signal.getsignal(signal.SIGINT) is not before:
            time.sleep(0.001)
        signal.raise_signal(signal.SIGINT)
        time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        run(Walk({7: twice}), tmp_path, options=LoopConfig(checkpoint_seconds=1e9))
    assert signal.getsignal(signal.SIGINT) is before
    assert not checkpoint_path(tmp_path).exists()


def test_a_signal_in_the_last_step_does_not_spoil_the_result(tmp_path: Path) -> None:
    walk = Walk({19: lambda: signal.raise_signal(signal.SIGINT)})
    run(walk, tmp_path)
    assert len(walk.calls) == 20


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    seconds = run(Walk(), tmp_path)
    again = Walk()
    assert run(again, tmp_path) == pytest.approx(seconds)
    assert again.calls == []
    assert [step for step, _ in losses(tmp_path)][-1] == 20


class Clock:
    """Stands in for the time module: every step takes 0.1 seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        """The process works half of the time."""
        return self.now / 2

    def tick(self) -> None:
        self.now += 0.1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    return clock


def test_with_a_time_limit_progress_follows_the_clock(tmp_path: Path, clock: Clock) -> None:
    walk = Walk(dict.fromkeys(range(1000), clock.tick))
    options = LoopConfig(seconds=0.75, checkpoint_seconds=1e9)
    seconds = run(walk, tmp_path, steps=1000, options=options)
    assert [progress for _, progress in walk.calls] == pytest.approx([i * 0.1 / 0.75 for i in range(8)])
    assert seconds == pytest.approx(0.8)
    assert losses(tmp_path)[-1][0] == 8


def test_few_steps_end_before_the_time_limit(tmp_path: Path, clock: Clock) -> None:
    walk = Walk(dict.fromkeys(range(1000), clock.tick))
    run(walk, tmp_path, steps=4, options=LoopConfig(seconds=100))
    assert [progress for _, progress in walk.calls] == [0, 0.25, 0.5, 0.75]


def test_time_before_an_interruption_counts(tmp_path: Path, clock: Clock) -> None:
    options = LoopConfig(seconds=1.0, checkpoint_seconds=0)
    hooks: dict[int, Callable[[], None]] = dict.fromkeys(range(1000), clock.tick)
    with pytest.raises(RuntimeError):
        run(Walk(hooks | {6: die}), tmp_path, steps=1000, options=options)
    clock.now += 3600
    walk = Walk(hooks)
    assert run(walk, tmp_path, steps=1000, options=options) == pytest.approx(1.0, abs=0.11)
    assert list(walk.calls[0]) == pytest.approx([6, 0.6])
    cpu_seconds = [record["cpu_seconds"] for record in read_log(tmp_path)]
    assert cpu_seconds == pytest.approx([0.5])
    late = Walk(hooks)
    run(late, tmp_path, steps=1000, options=options)
    assert late.calls == [], "the time was used up before"


def test_progress_stays_below_one(tmp_path: Path, clock: Clock) -> None:
    def long_step() -> None:
        clock.now += 0.999999999999

    walk = Walk({0: long_step, 1: clock.tick})
    run(walk, tmp_path, steps=1000, options=LoopConfig(seconds=1.0))
    assert all(progress < 1 for _, progress in walk.calls)


def test_a_damaged_checkpoint_is_reported(tmp_path: Path) -> None:
    run(Walk(), tmp_path)
    path = checkpoint_path(tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"checkpoint\.safetensors: not a readable"):
        run(Walk(), tmp_path)


def test_checkpoints_are_spaced_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    saved: list[int] = []

    def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        saved.append(metadata["loop"]["step"])
        save_tensors(path, tensors, metadata)

    monkeypatch.setattr(loop, "save_tensors", save)
    run(Walk(dict.fromkeys(range(20), clock.tick)), tmp_path, options=LoopConfig(checkpoint_seconds=0.55))
    assert saved == [6, 12, 18, 20]


class Diverging(Walk):
    """At one step a logged value, or the state alone, stops being finite."""

    def __init__(self, step: int, value: float, *, logged: bool) -> None:
        super().__init__()
        self.bad, self.value, self.logged = step, value, logged

    def step(self, index: int, progress: float) -> dict[str, float]:
        values = super().step(index, progress)
        if index == self.bad:
            self.position[1] = self.value
            return values | {"loss": self.value} if self.logged else values
        return values


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint_before(
    tmp_path: Path, value: float
) -> None:
    problem = rf"'loss' is {value} at step 8; the checkpoint of step 7 is kept"
    with pytest.raises(InputError, match=f"{tmp_path}: .*{problem}"):
        run(Diverging(7, value, logged=True), tmp_path)
    # What was saved last is a state before, from which the training goes on as if nothing had been.
    resumed, straight = Walk(), Walk()
    run(resumed, tmp_path)
    run(straight, tmp_path / "straight")
    assert resumed.calls[0][0] == 7
    assert torch.equal(resumed.position, straight.position)
    assert losses(tmp_path) == losses(tmp_path / "straight")


@pytest.mark.parametrize("step", [7, 19])
def test_a_state_that_is_not_finite_is_not_saved(tmp_path: Path, step: int) -> None:
    """Not even after the last step, whose update no loss has seen."""
    with pytest.raises(InputError, match=f"'position' of its state is not finite at step {step + 1}"):
        run(Diverging(step, float("nan"), logged=False), tmp_path)
    assert load_tensors(checkpoint_path(tmp_path))[0]["position"].isfinite().all()


def test_without_a_checkpoint_it_says_that_nothing_was_saved(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at step 1; nothing was saved before"):
        run(Diverging(0, float("nan"), logged=True), tmp_path)
    assert not checkpoint_path(tmp_path).exists()


def test_the_log_is_json_lines(tmp_path: Path) -> None:
    assert read_log(tmp_path) == []
    started = time.perf_counter()
    run(Walk(), tmp_path)
    lines = log_path(tmp_path).read_text().splitlines()
    assert [json.loads(line) for line in lines] == read_log(tmp_path)
    assert 0 <= json.loads(lines[-1])["seconds"] <= time.perf_counter() - started + 0.01


def full(*_: object, **__: object) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def test_a_full_disk_is_named_with_the_file_and_resumed_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill() -> None:
        monkeypatch.setattr(checkpoint, "save_file", full)

    straight = Walk()
    run(straight, tmp_path / "straight")
    with pytest.raises(OSError, match="No space left on device") as caught:
        run(Walk({7: fill}), tmp_path / "run")
    assert (caught.value.errno, caught.value.filename) == (
        errno.ENOSPC,
        str(checkpoint_path(tmp_path / "run")),
    )
    assert [path.name for path in (tmp_path / "run" / "state").iterdir()] == ["checkpoint.safetensors"]
    monkeypatch.undo()
    resumed = Walk()
    run(resumed, tmp_path / "run")
    assert torch.equal(resumed.position, straight.position)
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = tmp_path / "run"
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left on device") as caught:
        run(Walk(), folder)
    assert caught.value.filename == str(log_path(folder))
    assert not checkpoint_path(folder).exists()


@pytest.mark.parametrize("moved", [False, True])
def test_a_folder_that_is_gone_is_not_made_again(tmp_path: Path, moved: bool) -> None:
    folder = tmp_path / "run"

    def take_away() -> None:
        if moved:
            folder.rename(tmp_path / "elsewhere")
        else:
            shutil.rmtree(folder)

    with pytest.raises(InputError, match=r"run/log\.jsonl: is gone at step 8"):
        run(Walk({7: take_away}), folder)
    assert not folder.exists()
    if moved:
        resumed, straight = Walk(), Walk()
        run(resumed, tmp_path / "elsewhere")
        run(straight, tmp_path / "straight")
        assert torch.equal(resumed.position, straight.position)


def test_a_log_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    log_path(tmp_path).mkdir(parents=True)
    with pytest.raises(InputError, match=r"log\.jsonl: cannot be read \(Is a directory\)"):
        read_log(tmp_path)


def test_a_limit_counts_seconds_that_pass_or_that_are_computed(tmp_path: Path) -> None:
    """Steps that sleep take no time of the processor, those that compute do."""

    def compute() -> None:
        end = time.process_time() + 0.03
        while time.process_time() < end:
            pass

    def sleep() -> None:
        time.sleep(0.03)

    for name, work, clock, short in (
        ("a", sleep, "wall", True),
        ("b", sleep, "cpu", False),
        ("c", compute, "cpu", True),
    ):
        walk = Walk({index: work for index in range(20)})
        run(walk, tmp_path / name, options=LoopConfig(seconds=0.2, clock=clock))  # type: ignore[arg-type]
        assert (len(walk.calls) < 12) is short, (name, len(walk.calls))
        # Schedules follow the same clock.
        assert (walk.calls[-1][1] > 1.3 * walk.calls[-1][0] / 20) is short
