import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from latentfields.errors import InputError
from latentfields.files import read_json, write_json
from latentfields.training.checkpoint import (
    bounded_by,
    byte_count,
    load_tensors,
    pack_optimizer,
    save_tensors,
    unpack_optimizer,
    with_prefix,
    without_prefix,
)
from latentfields.training.muon import Muon, MuonWithAdam

Optimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Optimizer] = {
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.9, 0.99), eps=1e-15),
    "fused adam": lambda p: torch.optim.Adam(p, lr=1e-2, fused=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1, fused=True),
    "muon": lambda p: Muon([q for q in p if q.dim() > 1], lr=1e-2),
    "muon with adam": lambda p: MuonWithAdam(
        [
            {"params": [q for q in p if q.dim() > 1], "lr": 1e-2, "momentum": 0.9},
            {"params": [q for q in p if q.dim() == 1], "lr": 1e-3, "betas": (0.9, 0.99), "eps": 1e-15},
        ]
    ),
}


def test_tensors_and_metadata_come_back_exactly(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
        "b.c": torch.arange(5, dtype=torch.uint8),
        "scalar": torch.tensor(1e-45, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    metadata = {"float": 0.1 + 0.2, "list": [1, None, "ü"], "nested": {"yes": True}}
    save_tensors(tmp_path / "new" / "x.safetensors", tensors, metadata)
    loaded, found = load_tensors(tmp_path / "new" / "x.safetensors")
    assert found == metadata
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_views_and_shared_tensors_are_written_whole(tmp_path: Path) -> None:
    base = torch.arange(12.0).view(3, 4)
    save_tensors(tmp_path / "x", {"all": base, "part": base[1:, ::2], "turned": base.T}, {})
    loaded, _ = load_tensors(tmp_path / "x")
    assert torch.equal(loaded["part"], base[1:, ::2])
    assert torch.equal(loaded["turned"], base.T)


def test_equal_contents_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("x", "y"):
        save_tensors(tmp_path / name, {"a": torch.ones(3), "b": torch.zeros(2)}, {"k": 1})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_save_that_dies_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.ones(3)}, {"step": 1})

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, step, die)
    with pytest.raises(KeyboardInterrupt):
        save_tensors(path, {"a": torch.zeros(3)}, {"step": 2})
    tensors, metadata = load_tensors(path)
    assert metadata == {"step": 1}
    assert torch.equal(tensors["a"], torch.ones(3))


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 20, 100, -1])
def test_truncated_files_are_reported(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.randn(8, 8)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"x\.safetensors: not a readable safetensors file") as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\xff" * 64, (2**62).to_bytes(8, "little") + b"{}", (10**8).to_bytes(8, "little")],
)
def test_other_files_are_reported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not a readable safetensors file"):
        load_tensors(path)


def test_a_shape_beyond_64_bits_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    header = json.dumps({"a": {"dtype": "F32", "shape": [0, 2**63], "data_offsets": [0, 0]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(InputError, match="not a readable safetensors file") as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)


class _Marks:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_pickles_are_refused_without_being_read(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "plain").write_bytes(pickle.dumps(_Marks(mark)))
    torch.save({"a": torch.ones(2)}, tmp_path / "zip")
    for name in ("plain", "zip"):
        with pytest.raises(InputError, match="not a readable safetensors file"):
            load_tensors(tmp_path / name)
    assert not mark.exists()


def test_missing_files_and_folders_are_reported(tmp_path: Path) -> None:
    for read in (load_tensors, read_json):
        with pytest.raises(InputError, match="no such file"):
            read(tmp_path / "absent")
        with pytest.raises(InputError, match=str(tmp_path)):
            read(tmp_path)


def test_json_comes_back_and_damage_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"a": [1, 2.5, None], "ü": "é"})
    assert read_json(path) == {"a": [1, 2.5, None], "ü": "é"}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]
    for damaged in (b'{"a": ', b"\xff\xfe", b""):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.json: malformed JSON") as caught:
            read_json(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_are_not_written(tmp_path: Path, value: float) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(InputError, match=r"x\.json: is not written, as it would hold a number that is not"):
        write_json(path, {"a": [value]})
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def convolutions() -> nn.Module:
    """Channels last, as in the packaged autoencoder; biases beside kernels."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 2, 3))
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def train(model: nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_restored_optimizer_goes_on_bit_for_bit(make: Optimizer, tmp_path: Path) -> None:
    model = convolutions()
    optimizer = make(list(model.parameters()))
    train(model, optimizer, range(5))
    packed, groups = pack_optimizer(optimizer, "optimizer")
    tensors = packed | with_prefix("model", model.state_dict())
    save_tensors(tmp_path / "x", tensors, {"groups": groups})
    train(model, optimizer, range(5, 9))

    restored = convolutions()
    loaded, metadata = load_tensors(tmp_path / "x")
    restored.load_state_dict(without_prefix("model", loaded))
    fresh = make(list(restored.parameters()))
    unpack_optimizer(fresh, "optimizer", loaded, metadata["groups"])
    train(restored, fresh, range(5, 9))
    for name, value in model.state_dict().items():
        assert torch.equal(value, restored.state_dict()[name]), name


def test_groups_keep_what_a_schedule_wrote_into_them() -> None:
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([{"params": [parameter], "lr": 1.0}])
    optimizer.param_groups[0]["lr"] = 1 / 3
    optimizer.param_groups[0]["peak"] = 0.7
    packed, groups = pack_optimizer(optimizer, "o")
    fresh = torch.optim.Adam([{"params": [parameter], "lr": 1.0}])
    unpack_optimizer(fresh, "o", packed, json.loads(json.dumps(groups)))
    assert fresh.param_groups[0]["lr"] == 1 / 3
    assert fresh.param_groups[0]["peak"] == 0.7


def test_prefixes_do_not_mix() -> None:
    tensors: dict[str, Tensor] = with_prefix("a", {"x": torch.ones(1)}) | with_prefix(
        "ab", {"x": torch.zeros(1)}
    )
    assert without_prefix("a", tensors)["x"].item() == 1
    assert without_prefix("ab", tensors)["x"].item() == 0
    assert len(without_prefix("a", tensors)) == 1


def test_a_network_far_larger_than_its_weights_is_not_built(tmp_path: Path) -> None:
    weights = {"weight": torch.zeros(64, 64)}
    source = tmp_path / "config.json"
    with bounded_by(byte_count(weights), source):
        torch.nn.Linear(4000, 4000)
    with (
        pytest.raises(
            InputError, match=r"config\.json: describes a network far larger than its weights, .* 16384 b"
        ),
        bounded_by(byte_count(weights), source),
    ):
        torch.nn.Linear(5000, 5000)
    with (
        pytest.raises(InputError, match="far larger"),
        bounded_by(byte_count(weights), source),
    ):
        torch.nn.Sequential(*(torch.nn.Linear(1000, 1000) for _ in range(20)))
    with (
        pytest.raises(InputError, match="far larger"),
        bounded_by(byte_count(weights), source),
    ):
        torch.nn.Conv2d(2**64, 4, 3)
    made: list[Tensor] = []
    with (
        pytest.raises(InputError, match="far larger"),
        bounded_by(byte_count(weights), source),
    ):
        made.append(torch.full((2**50,), 1.0))  # No memory for it is asked for.
    assert made == []
