"""Decoders whose convolutions compute in integers of eight bits, for whoever only looks at their pictures.

Processors have instructions for such products that are twice as fast as those for bfloat16. What a convolution sees is
rounded to 256 steps between its least and its largest value, and its weights to 255 for every output channel; sums are
exact, and what is between two convolutions stays in float32. No gradients.

Shape suffixes: B images, I, O channels, H, W image size.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.devices import Kept

FEWEST_INPUTS = 32
"""Channels below which a convolution stays as it is: rounding what it sees would take what the rest saves."""


def in_eight_bits(autoencoder: Autoencoder) -> Autoencoder:
    """Return an autoencoder with the same tensors, not copies of them, that decodes in eight bits.

    It follows what changes them in place, such as a training. Only on processors (`devices.has_eight_bits`).
    """
    shared = {id(tensor): tensor for tensor in chain(autoencoder.parameters(), autoencoder.buffers())}
    out = copy.deepcopy(autoencoder, shared)
    for module in list(out.codec.decoder_module().modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d) and child.in_channels >= FEWEST_INPUTS and _can_round(child):
                setattr(module, name, EightBitConv2d(child))
    return out


def _can_round(layer: nn.Conv2d) -> bool:
    """Whether borders hold values of the picture: zeros would be others once it is rounded."""
    return layer.groups == 1 and (layer.padding_mode != "zeros" or layer.padding == (0, 0))


class EightBitConv2d(nn.Module):
    """A convolution in eight bits, with the tensors of another, whose borders are not zeros."""

    def __init__(self, exact: nn.Conv2d) -> None:
        super().__init__()
        self.exact = exact
        self._rounded: Kept[_Rounded] = Kept()

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 (B, I, H, W) to (B, O, H, W)."""
        exact = self.exact
        least, largest = x.amin(), x.amax()
        step = float(largest - least) / 255 or 1.0
        # x = least + step q. Conversions from and to 16 bits are fast, those from float32 to 8 are not.
        q = torch.add(0.5 - least / step, x, alpha=1 / step).to(torch.int16).to(torch.uint8)
        if exact.padding_mode != "zeros":
            q = nn.functional.pad(q, exact._reversed_padding_repeated_twice, mode=exact.padding_mode)
        weight = self._rounded.get(self._round, exact.weight)
        shift = least * weight.sums if exact.bias is None else torch.addcmul(exact.bias, least, weight.sums)
        out: Tensor = torch.ops.onednn.qconv2d_pointwise(
            qx=q,
            x_scale=step,
            x_zero_point=0,
            qw=weight.packed,
            w_scale=weight.steps,
            w_zero_point=weight.zeros,
            bias=shift,
            stride=exact.stride,
            padding=(0, 0),
            dilation=exact.dilation,
            groups=1,
            output_scale=1.0,
            output_zero_point=0,
            output_dtype=torch.float32,
            attr="none",
            scalars=[],
            algorithm="",
        )
        return out

    def _round(self) -> _Rounded:
        weight = self.exact.weight.detach()
        steps = weight.abs().amax(dim=(1, 2, 3)).clamp(min=torch.finfo().tiny) / 127
        rounded = (weight / steps[:, None, None, None]).round()
        packed: Tensor = torch.ops.onednn.qconv_prepack(
            rounded.to(torch.int8), steps, 1.0, 0, self.exact.stride, (0, 0), self.exact.dilation, 1, None
        )
        zeros = torch.zeros_like(steps, dtype=torch.int32)
        return _Rounded(packed, steps, zeros, rounded.sum(dim=(1, 2, 3)) * steps)


class _Rounded(NamedTuple):
    """Weights in eight bits."""

    packed: Tensor
    """(O, I, height, width) integers, in the order in which the product reads them."""
    steps: Tensor
    """(O,) what 1 is worth."""
    zeros: Tensor
    """(O,) integers that stand for 0."""
    sums: Tensor
    """(O,) of the weights of an output."""
