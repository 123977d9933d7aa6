"""How trainings begin and finish."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from latentfields.errors import InputError
from latentfields.training.recipe import begin, finish
from latentfields.training.runs import is_claimed


@dataclass(frozen=True)
class Config:
    kind: ClassVar[str] = "fit"
    steps: int = 3


class Result:
    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "weights").write_text("w")


def refuse() -> None:
    raise InputError("scene", "is missing")


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scene: is missing"):
        begin(Config(), tmp_path / "run", refuse)
    assert not (tmp_path / "run").exists()


def test_a_run_begins_again_with_the_same_description_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert (begin(Config(), out, lambda: 1), begin(Config(), out, lambda: 2)) == (1, 2)
    assert json.loads((out / "config.json").read_text()) == {"kind": "fit", "steps": 3}
    with pytest.raises(InputError, match=r"other settings \(steps: 3 there, 4 now\)"):
        begin(Config(steps=4), out, lambda: None)


def test_results_have_the_same_names(tmp_path: Path) -> None:
    begin(Config(), tmp_path / "run", lambda: None)
    result = Result()
    cpu = torch.device("cpu")
    assert finish(tmp_path / "run", result, {"scenes": 2}, seconds=1.5, device=cpu) is result
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics == {"training_seconds": 1.5, "device": "cpu", "scenes": 2}
    assert (tmp_path / "run" / "autoencoder" / "weights").read_text() == "w"
    assert is_claimed(tmp_path / "run")
