"""Objects on disk: what a checkpoint means stays whole, whatever is written after it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.collections_data import PLANES
from latentfields.errors import InputError
from latentfields.fused_planes.config import FusedPlanesConfig
from latentfields.fused_planes.objects import Beginning
from latentfields.fused_planes.store import ActiveObject, ObjectStore

RATES = {"micro": 0.1, "coefficients": 0.1}
HULLS = torch.ones(4, 8**3, dtype=torch.bool)


def opened(folder: Path, config: FusedPlanesConfig = PLANES, *, hulls: Tensor = HULLS) -> ObjectStore:
    return ObjectStore(folder / "objects.f32", hulls, config, seed=3)


def move(store: ObjectStore, index: int, *, by: float = 1.0) -> ActiveObject:
    (item,) = store.fetch([index])
    loss = by * item.coefficients.sum() + (by * item.micro.sum() if item.micro.numel() else 0.0)
    loss.backward()
    store.update([item], [index], rates=RATES)
    return item


def numbers(store: ObjectStore, index: int) -> list[Tensor]:
    (item,) = store.fetch([index])
    moments = [tensor for pair in item.moments.values() for tensor in pair]
    return [item.micro.detach(), item.coefficients.detach(), *moments, item.sampler.grid.density]


def test_what_is_put_back_is_what_comes(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        before = numbers(store, 1)
        moved = move(store, 1)
        (again,) = store.fetch([1])
        assert torch.equal(again.micro, moved.micro)
        assert torch.equal(again.coefficients, moved.coefficients)
        assert (moved.visits, again.visits) == (0, 1)
        # Adam's first step is the learning rate, against the gradient's sign.
        torch.testing.assert_close(again.coefficients, before[1] - 0.1)
        torch.testing.assert_close(again.micro, before[0] - 0.1)


def test_new_objects_follow_from_the_seed_whichever_comes_first(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "a")) as one, closing(opened(tmp_path / "b")) as other:
        first = [numbers(one, index) for index in (0, 1, 2, 3)]
        move(other, 2)
        last = [numbers(other, index) for index in (3, 1, 0)]
    for mine, theirs in zip([first[3], first[1], first[0]], last, strict=True):
        assert all(map(torch.equal, mine, theirs))
    assert not torch.equal(first[0][0], first[1][0])


def test_a_checkpoint_is_whole_after_later_steps(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        for index in (0, 1, 0):
            move(store, index)
        kept, saved = {i: numbers(store, i) for i in range(4)}, store.state_dict()
        for index in (0, 0, 2, 1):
            move(store, index, by=-1.0)
    # The process ends here; another one begins.
    with closing(opened(tmp_path)) as store:
        store.load_state_dict(saved)
        for index, expected in kept.items():
            assert all(map(torch.equal, numbers(store, index), expected)), index


def test_only_objects_of_a_batch_take_memory_and_unseen_ones_no_disk(tmp_path: Path) -> None:
    hulls = torch.ones(1, 8**3, dtype=torch.bool).expand(10_000, -1)
    with closing(opened(tmp_path, hulls=hulls)) as store:
        move(store, 9_999)
        used = 512 * store.path.stat().st_blocks
        assert store.path.stat().st_size > 10_000 * 4 * 8**3
        assert used < 64 * 1024


def test_new_objects_begin_as_told(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    micro = torch.randn(3, 8, 8, 2, generator=generator)
    coefficients = torch.randn(3, generator=generator)
    store = ObjectStore(
        tmp_path / "objects.f32", HULLS, PLANES, seed=3, beginning=Beginning(micro, coefficients)
    )
    with closing(store):
        move(store, 1)
        for item in store.fetch([0, 3]):
            assert torch.equal(item.micro, micro)
            assert torch.equal(item.coefficients, coefficients)
            assert item.visits == 0
        # What one of them becomes is not what others begin as.
        assert not torch.equal(store.fetch([1])[0].micro, micro)


def test_a_new_phase_forgets_moments_and_counts_anew(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        move(store, 0)
        planes = numbers(store, 0)[0]
        store.phase = 2
        (item,) = store.fetch([0])
        assert item.visits == 0
        assert torch.equal(item.micro, planes)
        assert all(not moment.any() for pair in item.moments.values() for moment in pair)


def test_rates_of_zero_leave_planes_alone(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        (item,) = store.fetch([0])
        before = item.micro.detach().clone()
        (item.micro.sum() + item.coefficients.sum()).backward()
        store.update([item], [0], rates={"micro": 0.0, "coefficients": 0.1})
        assert torch.equal(store.fetch([0])[0].micro, before)


def test_objects_may_have_no_planes_of_their_own(tmp_path: Path) -> None:
    with closing(opened(tmp_path, replace(PLANES, micro_features=0))) as store:
        before = numbers(store, 0)[1]
        move(store, 0)
        torch.testing.assert_close(numbers(store, 0)[1], before - 0.1)


def test_numbers_that_are_not_finite_show_in_the_state(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as store:
        assert store.state_dict()["health"].isfinite()
        move(store, 0, by=float("nan"))
        assert not store.state_dict()["health"].isfinite()


def test_a_file_of_other_objects_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with pytest.raises(InputError, match=r"objects\.f32: has \d+ bytes instead of \d+"):
        opened(tmp_path, hulls=HULLS[:3])
