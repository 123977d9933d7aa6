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


def mlp_reference(inputs: Tensor, *layers: nn.Linear, relu_first: bool = False) -> Tensor:
    """Linear layers with ReLU between them, and before them if `relu_first`: inputs (P, I) to outputs (P, O)."""
    hidden = torch.relu(inputs) if relu_first else inputs
    for layer in layers[:-1]:
        hidden = torch.relu(layer(hidden))
    out: Tensor = layers[-1](hidden)
    return out


def mlp(inputs: Tensor, *layers: nn.Linear, relu_first: bool = False) -> Tensor:
    """`mlp_reference`, with less memory traffic and memory on a CPU. First derivatives only."""
    if not _in_blocks(inputs):
        return mlp_reference(inputs, *layers, relu_first=relu_first)
    return _blocked(inputs, layers, sizes=(len(layers[-1].weight),), relu_first=relu_first)[0]


def mlp_parts_reference(inputs: Tensor, *layers: nn.Linear, sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """The outputs of an MLP in several tensors (P, `sizes`), such as a density and what is passed on."""
    out: tuple[Tensor, ...] = mlp_reference(inputs, *layers).split(sizes, dim=1)
    return out


def mlp_parts(inputs: Tensor, *layers: nn.Linear, sizes: tuple[int, ...]) -> tuple[Tensor, ...]:
    """`mlp_parts_reference`, on a CPU without a tensor of all outputs, nor one of all their gradients."""
    if not _in_blocks(inputs):
        return mlp_parts_reference(inputs, *layers, sizes=sizes)
    return _blocked(inputs, layers, sizes=sizes, relu_first=False)


def _in_blocks(inputs: Tensor) -> bool:
    """Blocks are for CPUs; what autocast rounds, it rounds layer by layer."""
    return inputs.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def _blocked(
    inputs: Tensor, layers: tuple[nn.Linear, ...], *, sizes: tuple[int, ...], relu_first: bool
) -> tuple[Tensor, ...]:
    parameters = [layer.weight for layer in layers] + [layer.bias for layer in layers]
    out: tuple[Tensor, ...] = _BlockedMlp.apply(inputs, sizes, relu_first, *parameters)  # type: ignore[no-untyped-call]
    return out


threshold_backward = torch.ops.aten.threshold_backward.grad_input


class _BlockedMlp(torch.autograd.Function):
    """All layers, block after block; the last one's outputs in parts."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, sizes: tuple[int, ...], relu_first: bool, *parameters: Tensor | None
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(inputs, *parameters)
        ctx.relu_first = relu_first
        last_weight, last_bias = parameters[len(parameters) // 2 - 1], parameters[-1]
        assert last_weight is not None
        out = tuple(inputs.new_empty(len(inputs), size) for size in sizes)
        for block, *rows in zip(inputs.split(BLOCK), *(part.split(BLOCK) for part in out), strict=True):
            hidden = _activations(block, relu_first, parameters)[-1]
            for part, weight in zip(rows, last_weight.split(sizes), strict=True):
                torch.mm(hidden, weight.T, out=part)
        if last_bias is not None:
            for part, bias in zip(out, last_bias.split(sizes), strict=True):
                part += bias
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, *parameters = ctx.saved_tensors
        count = len(parameters) // 2
        weights, biases = parameters[:count], parameters[count:]
        of_weights = [torch.zeros_like(weight) for weight in weights]
        of_biases = [None if bias is None else torch.zeros_like(bias) for bias in biases]
        of_inputs = torch.empty_like(inputs)
        blocks = [tensor.split(BLOCK) for tensor in (inputs, of_inputs, *gradients)]
        for block, of_block, *parts in zip(*blocks, strict=True):
            gradient = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
            activations = _activations(block, ctx.relu_first, parameters)
            for index in reversed(range(count)):
                of_weights[index].addmm_(gradient.T, activations[index])
                if (of_bias := of_biases[index]) is not None:
                    of_bias += gradient.sum(dim=0)
                # Into a tensor that nobody else has seen, so that the ReLU can be undone in place.
                before = of_block if index == 0 else torch.empty_like(activations[index])
                gradient = torch.mm(gradient, weights[index], out=before)
                if index > 0 or ctx.relu_first:
                    threshold_backward(gradient, activations[index], 0, grad_input=gradient)
        return of_inputs, None, None, *of_weights, *of_biases


def _activations(block: Tensor, relu_first: bool, parameters: tuple[Tensor | None, ...]) -> list[Tensor]:
    """The input of every layer: the block itself first, after its ReLU if `relu_first`."""
    count = len(parameters) // 2
    out = [block.relu() if relu_first else block]
    for weight, bias in zip(parameters[: count - 1], parameters[count:], strict=False):
        assert weight is not None
        out.append(torch.nn.functional.linear(out[-1], weight, bias).relu_())
    return out
