import time

import pytest
import torch

from latentfields.measures.cost import milliseconds, peak_memory


def test_peak_memory_sees_what_was_freed_again() -> None:
    with peak_memory(torch.device("cpu")) as small:
        torch.ones(1000)
    with peak_memory(torch.device("cpu")) as large:
        block = torch.ones(64 * 2**20)
        del block
    if large.mebibytes is None or small.mebibytes is None:
        pytest.skip("the system does not tell the peak of resident memory")
    assert 250 < large.mebibytes < 300
    assert small.mebibytes < 32


def test_every_call_is_timed_and_the_first_is_made_once_before() -> None:
    made: list[str] = []

    def call(name: str, seconds: float) -> None:
        made.append(name)
        time.sleep(seconds)
        assert not torch.is_grad_enabled()

    times = milliseconds([lambda: call("a", 0.002), lambda: call("b", 0.02)], torch.device("cpu"))
    assert made == ["a", "a", "b"]
    assert times[0] >= 2
    assert times[1] >= 20
