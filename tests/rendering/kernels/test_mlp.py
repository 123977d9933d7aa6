import itertools

import pytest
import torch
from torch import Tensor, nn

from latentfields.rendering.kernels.mlp import BLOCK, mlp, mlp_parts, mlp_parts_reference, mlp_reference


def layers(*widths: int, bias: bool) -> list[nn.Linear]:
    torch.manual_seed(0)
    return [nn.Linear(a, b, bias=bias) for a, b in itertools.pairwise(widths)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("widths", [(5, 3), (5, 8, 3), (4, 8, 6, 3)])
@pytest.mark.parametrize("points", [1, BLOCK, 2 * BLOCK + 7])
@pytest.mark.parametrize("relu_first", [False, True])
def test_values_and_gradients_are_the_twins(
    bias: bool, widths: tuple[int, ...], points: int, relu_first: bool
) -> None:
    results: list[list[Tensor]] = []
    for function in (mlp, mlp_reference):
        network = layers(*widths, bias=bias)
        inputs = torch.randn(points, widths[0], generator=torch.Generator().manual_seed(1)).requires_grad_()
        out = function(inputs, *network, relu_first=relu_first)
        out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(2)))
        leaves = [inputs, *nn.ModuleList(network).parameters()]
        results.append([out.detach()] + [leaf.grad for leaf in leaves if leaf.grad is not None])
    assert len(results[0]) == len(results[1]) == 2 + (1 + bias) * (len(widths) - 1)
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bias", [False, True])
def test_gradients_are_those_of_finite_differences(bias: bool) -> None:
    network = [layer.double() for layer in layers(3, 6, 5, 2, bias=bias)]
    inputs = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    parameters = tuple(nn.ModuleList(network).parameters())
    values = (inputs.requires_grad_(), *parameters)
    for relu_first in (False, True):
        assert torch.autograd.gradcheck(lambda x, *_, r=relu_first: mlp(x, *network, relu_first=r), values)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("points", [0, 1, BLOCK + 3])
def test_parts_are_slices_of_the_whole_with_their_gradients(bias: bool, points: int) -> None:
    results: list[list[Tensor]] = []
    for function in (mlp_parts, mlp_parts_reference):
        network = layers(4, 6, 5, bias=bias)
        inputs = torch.randn(points, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
        first, unused, last = function(inputs, *network, sizes=(1, 2, 2))
        assert unused.shape == (points, 2)
        (first.square().sum() + (last * last.detach().cos()).sum()).backward()
        leaves = [inputs, *nn.ModuleList(network).parameters()]
        results.append(
            [first.detach(), last.detach()] + [leaf.grad for leaf in leaves if leaf.grad is not None]
        )
    assert len(results[0]) == len(results[1])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_gradient_that_comes_in_is_left_alone() -> None:
    network = layers(3, 4, 2, bias=False)
    out = mlp(torch.randn(9, 3, requires_grad=True), *network)
    gradient = torch.randn(9, 2)
    kept = gradient.clone()
    out.backward(gradient)
    assert torch.equal(gradient, kept)


def test_no_points_is_a_result_too() -> None:
    network = layers(3, 4, 2, bias=True)
    out = mlp(torch.zeros(0, 3), *network)
    assert out.shape == (0, 2)
    out.sum().backward()
    assert network[0].weight.grad is not None
    assert not network[0].weight.grad.any()


@torch.no_grad()
def test_autocast_rounds_layer_by_layer() -> None:
    network, inputs = layers(4, 8, 6, 3, bias=True), torch.randn(50, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = mlp(inputs, *network), mlp_reference(inputs, *network)
        parts = mlp_parts(inputs, *network, sizes=(1, 2))
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected)
    assert torch.equal(torch.cat(parts, dim=1), expected)
