"""A trainer's parts, as tensors and metadata, and back."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from latentfields.training.schedules import with_peaks
from latentfields.training.state import Parts


def parts(*, seed: int) -> Parts:
    """Two modules, an optimiser that has stepped, and a generator that was drawn from."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first, second = nn.Linear(3, 2), nn.Linear(2, 2)
    optimizer = with_peaks(torch.optim.Adam(first.parameters(), lr=0.1 * (seed + 1)))
    first(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    generator = torch.Generator().manual_seed(seed)
    torch.rand(3, generator=generator)
    return Parts(
        modules={"first": first, "first.inner": second},
        optimizers={"adam": optimizer},
        generators={"generator": generator},
    )


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(tensor, b[name]) for name, tensor in a.items())


def test_tensors_have_the_names_of_their_parts() -> None:
    tensors, groups = parts(seed=0).pack()
    assert set(tensors) == {
        *("first.weight", "first.bias", "first.inner.weight", "first.inner.bias", "generator"),
        *(f"adam.{index}.{key}" for index in (0, 1) for key in ("step", "exp_avg", "exp_avg_sq")),
    }
    assert set(groups) == {"adam"}


def test_what_was_packed_is_restored() -> None:
    tensors, groups = copy.deepcopy(parts(seed=0).pack())
    other = parts(seed=1)
    assert not same(other.pack()[0], tensors)
    # A module whose name begins like another's takes its own tensors alone.
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith("first.inner")}
    Parts(modules={"first": other.modules["first"]}).unpack(own, {})
    other = Parts(
        {"first.inner": other.modules["first.inner"]},
        optimizers=other.optimizers,
        generators=other.generators,
    )
    other.unpack(tensors, groups)
    restored, found = other.pack()
    assert found == groups
    assert all(torch.equal(restored[name], tensors[name]) for name in restored)


def test_optimisers_of_versions_that_noted_no_peaks_take_those_they_were_made_with() -> None:
    tensors, groups = copy.deepcopy(parts(seed=0).pack())
    for group in groups["adam"]:
        del group["peak"]
        group["lr"] = 0.03
    other = Parts(optimizers=parts(seed=1).optimizers)
    other.unpack(tensors, groups)
    (group,) = other.optimizers["adam"].param_groups
    assert (group["lr"], group["peak"]) == (0.03, 0.2)
