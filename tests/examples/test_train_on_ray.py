"""Two actors of Ray train the prior that one process trains."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from helpers.priors import TINY_PRIOR, write_classes
from latentfields.priors.prior import load_prior
from latentfields.training.loop import read_log

pytestmark = pytest.mark.slow

EXAMPLE = Path(__file__).parents[2] / "examples" / "06_train_on_ray.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example, on a machine of two cores."""
    ray = pytest.importorskip("ray", reason="needs Ray, the extra `cluster`")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # It keeps a token in the user's folder.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    spec = importlib.util.spec_from_file_location("train_on_ray", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "train_on_ray", module)
    # A script's own classes travel like this by themselves.
    ray.cloudpickle.register_pickle_by_value(module)
    yield module
    ray.cloudpickle.unregister_pickle_by_value(module)
    ray.shutdown()


def test_actors_train_together(example: ModuleType, tmp_path: Path) -> None:
    classes = write_classes(tmp_path / "classes")
    training = replace(TINY_PRIOR, batch=3)
    machines = example.train_on_ray(classes, tmp_path / "run", training, processes=2, gpus=0)
    assert len(machines) == 2
    assert load_prior(tmp_path / "run").config.classes == ("ball", "marble")
    assert read_log(tmp_path / "run")[-1]["step"] == TINY_PRIOR.steps
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["steps"] == TINY_PRIOR.steps
