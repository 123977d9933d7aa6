"""Two processes under torchrun give what one process gives with the same global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from igae_data import CONFIG

from latentfields.errors import InputError
from latentfields.igae.distributed import Processes, local_device
from latentfields.igae.finetune import finetune_3d
from latentfields.training.checkpoint import load_tensors
from latentfields.training.loop import LoopOptions, checkpoint_path, read_log

CHILD = Path(__file__).with_name("distributed_child.py")


@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 7), items=st.integers(0, 20))
def test_shares_cover_everything_once_and_evenly(count, items):
    shares = [range(items)[Processes(rank, count).share(items)] for rank in range(count)]
    assert [item for share in shares for item in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_changes_nothing():
    parameter = torch.nn.Parameter(torch.ones(2))
    alone = Processes()
    alone.sum_gradients([parameter])
    assert parameter.grad is None
    assert alone.sum_values({"a": 2.0}) == {"a": 2.0}
    assert alone.share(5) == slice(0, 5)


def test_every_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert local_device("cpu") == torch.device("cpu")
    assert local_device("auto") == torch.device("cuda", 1)
    assert local_device("cuda") == torch.device("cuda", 1)
    assert local_device("cuda:0") == torch.device("cuda", 0)


def test_without_a_gpu_auto_is_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert local_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["warp drive", "cuda:2"])
def test_devices_that_are_not_there_are_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match=name):
        local_device(name)


@pytest.fixture(scope="module")
def both(data, tmp_path_factory):
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
        loop=LoopOptions(checkpoint_seconds=3600.0, log_every=1),
    )
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in (*sys.path, str(CHILD.parent)) if path),
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
def test_two_processes_are_one(both, phase):
    one, two = (load_tensors(checkpoint_path(folder / phase))[0] for folder in both)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        if "moment" not in name and "exp_avg" not in name:
            torch.testing.assert_close(
                two[name], tensor, atol=2e-3, rtol=2e-3, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize("phase", ["pretraining", "joint"])
def test_two_processes_log_the_losses_of_the_global_batch(both, phase):
    one, two = (read_log(folder / phase) for folder in both)
    assert len(one) == len(two)
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"seconds", "cpu_seconds", "data_wait_seconds"}:
            assert b[name] == pytest.approx(a[name], rel=2e-3, abs=1e-6), (a["step"], name)
