"""Two processes under torchrun fit the collection that one fits of the same batches, from the start or gone on with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch

from helpers.collections_data import COLLECTION
from helpers.distributed_child import collection
from helpers.processes import run_two_processes
from latentfields.fused_planes import trainer
from latentfields.fused_planes.collection import Collection
from latentfields.fused_planes.fit import fit_collection
from latentfields.training.checkpoint import load_tensors
from latentfields.training.loop import LoopConfig, read_log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def one(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the collection that one process fits."""
    folder = tmp_path_factory.mktemp("one") / "mugs"
    collection(data, folder)
    return folder


def check_same(one: Path, two: Path, *, steps: int) -> None:
    """The same collections but for sums in another order; and of two processes, the same bytes in both."""
    ranks = [two.with_name(f"{two.name}-{rank}.safetensors") for rank in range(2)]
    assert ranks[0].read_bytes() == ranks[1].read_bytes()
    ours, theirs = (Collection.open(folder, device="cpu") for folder in (one, two))
    assert ours.names() == theirs.names() == ["mug-0", "mug-1", "mug-2"]
    alone = load_tensors(one.with_name(f"{one.name}-0.safetensors"))[0]
    for name, tensor in load_tensors(ranks[0])[0].items():
        torch.testing.assert_close(
            tensor, alone[name], atol=2e-3, rtol=2e-3, msg=partial("{}: {}".format, name)
        )
    for name in ours.names():
        mine, other = ours.object(name), theirs.object(name)
        torch.testing.assert_close(other.micro, mine.micro, atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(other.weights, mine.weights, atol=2e-3, rtol=2e-3)
    for phase in ("warmup", "joint"):
        logs = [{record["step"]: record for record in read_log(folder / phase)} for folder in (one, two)]
        assert logs[0].keys() >= logs[1].keys()
        assert len(logs[1]) >= steps
        for step, record in logs[1].items():
            assert record.keys() == logs[0][step].keys()
            for name in record.keys() - {"seconds", "cpu_seconds"}:
                assert record[name] == pytest.approx(logs[0][step][name], rel=2e-3, abs=1e-6), (step, name)


def test_two_processes_are_one(one: Path, data: Path, tmp_path: Path) -> None:
    run_two_processes("collection", data, tmp_path / "mugs")
    check_same(one, tmp_path / "mugs", steps=4)
    assert not list((tmp_path / "mugs").rglob("checkpoint.safetensors"))


def test_two_processes_go_on_with_what_one_began(
    one: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = trainer.PhaseTrainer.step

    def four_steps(self: trainer.PhaseTrainer, index: int, progress: float) -> dict[str, float]:
        if index == 4:
            raise KeyboardInterrupt
        return step(self, index, progress)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.PhaseTrainer, "step", four_steps)
        with pytest.raises(KeyboardInterrupt):
            fit_collection(
                [data / "scenes" / f"mug-{number}" for number in range(3)],
                autoencoder=data / "base",
                out=tmp_path / "mugs",
                training=COLLECTION,
                device="cpu",
                loop=LoopConfig(checkpoint_seconds=0.0, log_every=1),
            )
    run_two_processes("collection", data, tmp_path / "mugs")
    check_same(one, tmp_path / "mugs", steps=4)
