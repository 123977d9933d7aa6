"""Small MLPs over many points, in blocks that stay in a CPU's cache.

The layers of a field are narrow: written to memory and read again, their activations take longer than the products.
`mlp` takes a block of points through all layers, keeps only the result, and computes the block's activations anew when
its gradients are due; `mlp_reference` is the same function, layer by layer.

Shape suffixes: P points, I inputs, O outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

BLOCK = 2048
"""Points per block: some 64 units of that many points fill half of a usual second-level cache."""


def mlp_reference(inputs: Tensor, *layers: nn.Linear) -> Tensor:
    """Linear layers with ReLU between them: inputs (P, I) to outputs (P, O)."""
    hidden = inputs
    for layer in layers[:-1]:
        hidden = torch.relu(layer(hidden))
    out: Tensor = layers[-1](hidden)
    return out


def mlp(inputs: Tensor, *layers: nn.Linear) -> Tensor:
    """`mlp_reference`, with less memory traffic and memory on a CPU. First derivatives only."""
    if inputs.device.type != "cpu":
        return mlp_reference(inputs, *layers)
    weights = [layer.weight for layer in layers]
    biases = [layer.bias for layer in layers]
    out: Tensor = _BlockedMlp.apply(inputs, len(layers), *weights, *biases)  # type: ignore[no-untyped-call]
    return out


threshold_backward = torch.ops.aten.threshold_backward.grad_input


class _BlockedMlp(torch.autograd.Function):
    """All layers, block after block."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, count: int, *parameters: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, *parameters)
        ctx.count = count
        last_weight, last_bias = parameters[count - 1], parameters[-1]
        assert last_weight is not None
        out = inputs.new_empty(len(inputs), len(last_weight))
        for block, rows in zip(inputs.split(BLOCK), out.split(BLOCK), strict=True):
            torch.mm(_activations(block, count, parameters)[-1], last_weight.T, out=rows)
        return out if last_bias is None else out.add_(last_bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *parameters = ctx.saved_tensors
        weights, biases = parameters[: ctx.count], parameters[ctx.count :]
        of_weights = [torch.zeros_like(weight) for weight in weights]
        of_biases = [None if bias is None else torch.zeros_like(bias) for bias in biases]
        of_inputs = torch.empty_like(inputs)
        parts = zip(inputs.split(BLOCK), gradients[0].split(BLOCK), of_inputs.split(BLOCK), strict=True)
        for block, gradient, of_block in parts:
            activations = _activations(block, ctx.count, parameters)
            for index in reversed(range(ctx.count)):
                of_weights[index].addmm_(gradient.T, activations[index])
                if (of_bias := of_biases[index]) is not None:
                    of_bias += gradient.sum(dim=0)
                if index > 0:
                    gradient = gradient @ weights[index]
                    # In place: nobody else has seen this gradient.
                    threshold_backward(gradient, activations[index], 0, grad_input=gradient)
                else:
                    torch.mm(gradient, weights[0], out=of_block)
        return of_inputs, None, *of_weights, *of_biases


def _activations(block: Tensor, count: int, parameters: tuple[Tensor | None, ...]) -> list[Tensor]:
    """What every layer gets: the block itself first."""
    out = [block]
    for weight, bias in zip(parameters[: count - 1], parameters[count:], strict=False):
        assert weight is not None
        out.append(torch.nn.functional.linear(out[-1], weight, bias).relu_())
    return out
