"""The fusion equation in closed form, and its gradients against finite differences."""

from __future__ import annotations

import torch

from latentfields.fused_planes.fusion import fused_planes, macro_planes


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_macro_planes_are_the_sum_of_the_equation() -> None:
    base, weights, bias = drawn(3, 3, 4, 4, 2), drawn(2, 3, seed=1), drawn(2, seed=2)
    found = macro_planes(base, weights, bias)
    for index in range(2):
        expected = sum((weights[index, k] * base[k] for k in range(3)), torch.zeros(3, 4, 4, 2)) + bias[index]
        torch.testing.assert_close(found[index], expected)


def test_a_single_weight_gives_its_base_planes() -> None:
    base = drawn(3, 3, 4, 4, 2)
    (found,) = macro_planes(base, torch.eye(3, dtype=torch.float64)[[1]], torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(found, base[1])


def test_gradients_are_those_of_finite_differences() -> None:
    inputs = [drawn(2, 3, 3, 3, 1), drawn(2, 2, seed=1), drawn(2, seed=2)]
    leaves = [tensor.requires_grad_() for tensor in inputs]
    assert torch.autograd.gradcheck(lambda *parts: macro_planes(*parts), leaves)


def test_own_planes_come_first() -> None:
    micro, macro = drawn(3, 4, 4, 2), drawn(3, 4, 4, 5, seed=1)
    fused = fused_planes(micro, macro)
    assert fused.shape == (3, 4, 4, 7)
    assert torch.equal(fused[..., :2], micro)
    assert torch.equal(fused[..., 2:], macro)


def test_without_planes_of_its_own_an_object_is_its_macro_planes() -> None:
    macro = drawn(3, 4, 4, 5)
    assert fused_planes(drawn(3, 4, 4, 0), macro) is macro
