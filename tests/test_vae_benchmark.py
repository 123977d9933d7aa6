"""What the tutorial for large autoencoders says of memory and arithmetic, by shapes alone, is so of real tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.autoencoders import small_kl

pytest.importorskip("diffusers")
from benchmarks.vae import NETWORKS, Training, cost_of


def config() -> dict[str, Any]:
    return dict(small_kl().config) | {"_class_name": "AutoencoderKL"}


def test_what_is_kept_for_the_backward_pass_is_what_a_real_pass_keeps() -> None:
    cost, model = cost_of(config(), size=32, bfloat16=False), small_kl()
    weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        mean = model.encode(torch.rand(1, 3, 32, 32)).latent_dist.mean
    real = sum(size for storage, size in kept.items() if storage not in weights)
    assert mean.shape == (1, 4, 8, 8)
    assert cost.encode_bytes == pytest.approx(real, rel=0.05)
    assert cost.parameters == sum(parameter.numel() for parameter in model.parameters())


def test_parts_take_less_memory_and_larger_pictures_more() -> None:
    small, large = (cost_of(config(), size=size, bfloat16=False) for size in (32, 64))
    assert large.decode_flops == pytest.approx(4 * small.decode_flops, rel=0.1)
    whole = Training()
    assert whole.gibibytes(large) > whole.gibibytes(small) > replace(whole, accumulation=4).gibibytes(small)
    assert replace(whole, accumulation=4).flops(small) == whole.flops(small)
    assert replace(whole, average=False).gibibytes(small) < whole.gibibytes(small)


def test_networks_are_as_large_as_those_who_made_them_say() -> None:
    costs = {name: cost_of(config, size=64, bfloat16=True) for name, config in NETWORKS.items()}
    sizes = {name: cost.parameters for name, cost in costs.items()}
    assert sizes == {"sd": 83_653_863, "flux": 83_819_683, "ostris": 57_266_643}
    assert Training().gibibytes(costs["ostris"]) < Training().gibibytes(costs["sd"])
