"""What is logged, as TensorBoard reads it, also after an interruption."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from latentfields.errors import InputError
from latentfields.training.loop import LoopConfig, read_log, train


class Squares:
    """Logs the square of the step, and a word."""

    def __init__(self, *, dies_at: int | None = None) -> None:
        self.dies_at = dies_at

    def step(self, index: int, progress: float) -> dict[str, float | str]:
        if index == self.dies_at:
            raise RuntimeError("the process died here")
        return {"square": float((index + 1) ** 2), "stage": "first"}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_record_is_there_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    often = LoopConfig(log_every=2, checkpoint_seconds=1e9, tensorboard=True)
    with pytest.raises(RuntimeError, match="died"):
        train(Squares(dies_at=7), steps=10, folder=tmp_path, label="squares", options=often)
    train(Squares(), steps=10, folder=tmp_path, label="squares", options=often)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert events.Tags()["scalars"] == ["square"]
    found = [(event.step, event.value) for event in events.Scalars("square")]
    assert found == [(record["step"], record["square"]) for record in read_log(tmp_path)]
    assert [step for step, _ in found] == [2, 4, 6, 8, 10]


def test_without_it_nothing_is_written(tmp_path: Path) -> None:
    train(Squares(), steps=3, folder=tmp_path, label="squares", options=LoopConfig())
    assert not (tmp_path / "tensorboard").exists()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"tensorboard: is not installed.*'latentfields\[tensorboard\]'"):
        LoopConfig(tensorboard=True)
