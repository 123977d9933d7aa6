"""Two processes under torchrun give what one process gives with the same global batch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from helpers.distributed_child import finetune
from helpers.processes import run_under_torchrun
from latentfields.training.checkpoint import load_tensors
from latentfields.training.loop import checkpoint_path, read_log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the same training by one process and by two."""
    folder = tmp_path_factory.mktemp("processes")
    finetune(data, folder / "one")
    run_under_torchrun("finetune-3d", data, folder / "two")
    return folder / "one", folder / "two"


@pytest.mark.parametrize("phase", ["pretraining", "joint"])
def test_two_processes_are_one(both: tuple[Path, Path], phase: str) -> None:
    one, two = (load_tensors(checkpoint_path(folder / phase))[0] for folder in both)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        if "moment" not in name and "exp_avg" not in name:
            torch.testing.assert_close(
                two[name], tensor, atol=2e-3, rtol=2e-3, msg=partial("{}: {}".format, name)
            )


@pytest.mark.parametrize("phase", ["pretraining", "joint"])
def test_two_processes_log_the_losses_of_the_global_batch(both: tuple[Path, Path], phase: str) -> None:
    one, two = (read_log(folder / phase) for folder in both)
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"seconds", "cpu_seconds", "data_wait_seconds"}:
            assert b[name] == pytest.approx(a[name], rel=2e-3, abs=1e-6), (a["step"], name)
