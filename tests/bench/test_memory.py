import pytest
import torch

from latentfields.bench.memory import peak_memory


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
