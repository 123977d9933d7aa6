"""Rendering between the steps of a training."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from latentfields.viewer.gate import OpenGate, TrainingGate


class Counting:
    """A `Trainable` that notices when somebody looks while it changes."""

    def __init__(self) -> None:
        self.steps, self.stepping = 0, False

    def step(self, index: int, progress: float) -> dict[str, float | str]:
        assert index == self.steps
        self.stepping = True
        time.sleep(0.002)
        self.stepping = False
        self.steps += 1
        return {"loss": 1.0 / self.steps}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {"steps": torch.tensor(self.steps)}, {}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        self.steps = int(tensors["steps"])


def test_without_watchers_a_step_is_the_trainables_own() -> None:
    counting = Counting()
    gate = TrainingGate(counting)
    for index in range(5):
        assert gate.step(index, index / 5) == {"loss": 1.0 / (index + 1)}
    assert (gate.version, gate.status) == (5, "step 5, 80 %")
    other = TrainingGate(Counting())
    other.restore(*gate.state())
    assert other.step(5, 0.9) == {"loss": 1.0 / 6}


@pytest.mark.parametrize("watchers", [1, 3])
def test_renders_happen_between_steps_and_the_training_goes_on(watchers: int) -> None:
    counting = Counting()
    gate = TrainingGate(counting)
    seen: list[int] = []
    disturbed = []
    inside = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal inside
        while not done.is_set():
            with gate.rendering():
                inside += 1
                before = counting.steps
                time.sleep(0.001)
                if counting.stepping or counting.steps != before or inside != 1:
                    disturbed.append(before)
                seen.append(before)
                inside -= 1

    threads = [threading.Thread(target=watch) for _ in range(watchers)]
    gate.step(0, 0.0)
    for thread in threads:
        thread.start()
    for index in range(1, 40):
        gate.step(index, index / 40)
    during = len(seen)
    done.set()
    gate.finish()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert not disturbed
    assert counting.steps == 40
    # About one render per step: neither side starves.
    assert 20 <= during <= 80


def test_a_failing_render_leaves_the_gate_open() -> None:
    for gate in (OpenGate(), TrainingGate(Counting())):
        with pytest.raises(ZeroDivisionError), gate.rendering():
            raise ZeroDivisionError
        with gate.rendering():
            pass


def test_before_and_after_the_training_rendering_is_free() -> None:
    gate = TrainingGate(Counting())
    with gate.rendering():
        pass
    gate.step(0, 0.0)
    gate.finish()
    with gate.rendering():
        pass
