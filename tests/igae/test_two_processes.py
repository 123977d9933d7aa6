"""Two processes under torchrun give what one process gives with the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from helpers.igae_data import CONFIG
from latentfields.igae.finetune import finetune_3d
from latentfields.training.checkpoint import load_tensors
from latentfields.training.loop import LoopConfig, checkpoint_path, read_log

pytestmark = pytest.mark.slow

CHILD = Path(__file__).parents[1] / "helpers" / "distributed_child.py"


@pytest.fixture(scope="module")
def both(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of the same training by one process and by two."""
    folder = tmp_path_factory.mktemp("processes")
    config = replace(CONFIG, joint=replace(CONFIG.joint, photos_per_batch=3))
    finetune_3d(
        config,
        autoencoder=data / "base",
        scenes=[data / "scenes"],
        photos=[data / "photos"],
        out=folder / "one",
        command="",
        loop=LoopConfig(checkpoint_seconds=3600.0, log_every=1),
    )
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, str(CHILD), str(data), str(folder / "two")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
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
