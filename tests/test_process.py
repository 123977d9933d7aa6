import pytest
import torch

from latentfields.errors import InputError
from latentfields.process import choose_device, set_threads


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == torch.device("cpu")
    for count, automatic in ((0, "cpu"), (2, "cuda")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        monkeypatch.setattr(torch.cuda, "is_available", lambda count=count: count > 0)
        assert choose_device("auto") == torch.device(automatic)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(
        InputError, match="device: is 'cuda:2'; expected auto or one of cpu, cuda:0, cuda:1, cuda"
    ):
        choose_device("cuda:2")


@pytest.mark.parametrize("count", [0, -1])
def test_threads_are_at_least_one(count: int) -> None:
    before = torch.get_num_threads()
    with pytest.raises(InputError, match=f"threads: is {count}; expected at least 1"):
        set_threads(count)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("name", ["cuda", "gpu", ""])
def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=f"device: is '{name}'; expected auto or one of cpu"):
        choose_device(name)


def test_who_asks_for_a_gpu_is_told_that_none_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(InputError, match=r"expected auto or one of cpu: PyTorch sees no GPU here$"):
        choose_device("cuda:1")
    with pytest.raises(InputError, match=r"expected auto or one of cpu$"):
        choose_device("mps")
