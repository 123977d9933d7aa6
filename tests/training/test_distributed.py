"""Two processes under torchrun give what one process gives with the same global batch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.errors import InputError
from latentfields.training.distributed import Processes, local_device


@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 7), items=st.integers(0, 20))
def test_shares_cover_everything_once_and_evenly(count: int, items: int) -> None:
    shares = [range(items)[Processes(rank, count).share(items)] for rank in range(count)]
    assert [item for share in shares for item in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_changes_nothing() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    alone = Processes()
    alone.sum_gradients([parameter])
    assert parameter.grad is None
    assert alone.sum_values({"a": 2.0}) == {"a": 2.0}
    assert alone.share(5) == slice(0, 5)


def test_every_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert local_device("cpu") == torch.device("cpu")
    assert local_device("auto") == torch.device("cuda", 1)
    assert local_device("cuda") == torch.device("cuda", 1)
    assert local_device("cuda:0") == torch.device("cuda", 0)


def test_without_a_gpu_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert local_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["warp drive", "cuda:2"])
def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match=name):
        local_device(name)
