from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from helpers.simulated_device import DEVICE, simulated_device
from latentfields import devices
from latentfields.devices import Kept, has_eight_bits, like, normal, read, upload, wait_for

CPU = torch.device("cpu")


def test_on_the_cpu_nothing_is_copied() -> None:
    tensor = torch.ones(3)
    assert upload(tensor, CPU) is tensor
    wait_for(CPU)


def test_the_cpu_draws_what_its_generator_gives() -> None:
    expected = torch.randn(2, 3, generator=torch.Generator().manual_seed(5))
    drawn = normal((2, 3), generator=torch.Generator().manual_seed(5), device=CPU)
    assert torch.equal(drawn, expected)


def test_nothing_waits_for_a_device_but_reading_and_that_once() -> None:
    with simulated_device() as waits:
        here = upload(torch.arange(3.0), DEVICE)
        values = like([1, 2.5, 4], here)
        drawn = normal((3,), generator=torch.Generator().manual_seed(0), device=DEVICE)
        assert {tensor.device for tensor in (here, values, drawn)} == {DEVICE}
        assert (waits.count, waits.blocking_uploads) == (0, 0)
        assert read({"a": values[1], "b": (here + values).sum()}) == {"a": 2.5, "b": 10.5}
        assert waits.count == 1
    assert read({}) == {}


def test_values_are_pinned_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # Memory is pinned by a GPU's driver alone: ordinary memory stands for it.
    empty_like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda tensor, *, pin_memory: empty_like(tensor))
    row = torch.arange(3.0)
    for tensor in (row, row.expand(4, 3), torch.rand(3, 2).t(), row[0]):
        pinned = devices._pinned(tensor)
        assert torch.equal(pinned, tensor)
        assert pinned.data_ptr() != tensor.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_takes_tensors_that_were_expanded() -> None:
    row = torch.arange(3.0)
    assert torch.equal(upload(row.expand(4, 3), torch.device("cuda")).cpu(), row.repeat(4, 1))


def test_what_follows_from_tensors_is_kept_until_they_change() -> None:
    calls: list[float] = []
    kept: Kept[float] = Kept()

    def total(*tensors: Tensor) -> float:
        def compute() -> float:
            calls.append(sum(float(tensor.sum()) for tensor in tensors))
            return calls[-1]

        return kept.get(compute, *tensors)

    first, second = torch.ones(2), torch.ones(3)
    assert [total(first, second) for _ in range(3)] == [5, 5, 5]
    assert len(calls) == 1
    first[0] = 4.0
    assert total(first, second) == 8
    assert total(first, second.clone()) == 8
    assert len(calls) == 3
    assert total(first) == 5
    kept.keep(7.0, first)
    assert total(first) == 7
    # A copy's tensors have versions of their own.
    kept = copy.deepcopy(kept)
    assert total(first) == 5


@pytest.mark.parametrize(
    ("capabilities", "expected"), [({"avx512_vnni": True}, True), ({"avx2": True}, False), ({}, False)]
)
def test_the_processor_is_asked_for_eight_bits(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_eight_bits(CPU) is expected
    assert not has_eight_bits(torch.device("cuda"))
