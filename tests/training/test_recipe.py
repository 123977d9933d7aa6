"""How trainings begin and finish."""

from __future__ import annotations

import json
import shutil
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
    name = "before"

    def save(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "weights").write_text("w")


def refuse() -> None:
    raise InputError("scene", "is missing")


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scene: is missing"), begin(Config(), tmp_path / "run", refuse):
        pass
    assert not (tmp_path / "run").exists()


def test_a_run_begins_again_with_the_same_description_alone(tmp_path: Path) -> None:
    out = tmp_path / "run"
    for value in (1, 2):
        with begin(Config(), out, iter([value]).__next__) as read:
            assert read == value
    assert json.loads((out / "config.json").read_text()) == {"kind": "fit", "steps": 3}
    refused = pytest.raises(InputError, match=r"other settings \(steps: 3 there, 4 now\)")
    with refused, begin(Config(steps=4), out, lambda: None):
        pass


def test_results_have_the_same_names(tmp_path: Path) -> None:
    result = Result()
    cpu = torch.device("cpu")
    with begin(Config(), tmp_path / "run", lambda: None):
        assert finish(tmp_path / "run", result, {"scenes": 2}, seconds=1.5, device=cpu) is result
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics == {"training_seconds": 1.5, "device": "cpu", "scenes": 2}
    assert (tmp_path / "run" / "autoencoder" / "weights").read_text() == "w"
    assert result.name == str(tmp_path / "run" / "autoencoder")
    assert is_claimed(tmp_path / "run")


def test_a_folder_that_was_deleted_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    gone = pytest.raises(InputError, match=r"run/config\.json: is gone")
    with gone, begin(Config(), out, lambda: None):
        shutil.rmtree(out)
        finish(out, Result(), {}, seconds=1.5, device=torch.device("cpu"))
    assert not out.exists()


def test_nobody_else_works_in_the_folder_meanwhile(tmp_path: Path) -> None:
    with begin(Config(), tmp_path / "run", lambda: None):
        twice = pytest.raises(InputError, match="this process already")
        with twice, begin(Config(), tmp_path / "run", lambda: None):
            pass
