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
from latentfields.autoencoders.patch import PatchAutoencoder, ResidualBlock
from latentfields.devices import Kept

FEWEST_INPUTS = 32
"""Channels below which a convolution stays as it is: rounding what it sees would take what the rest saves."""


def in_eight_bits(autoencoder: Autoencoder) -> Autoencoder | None:
    """Return an autoencoder with the same tensors, not copies of them, that decodes in eight bits.

    It follows what changes them in place, such as a training. Only for processors (`devices.has_eight_bits`). None for
    autoencoders that are not a `PatchAutoencoder`: what rounding does to others is not known.
    """
    if not isinstance(autoencoder.codec, PatchAutoencoder):
        return None
    shared = {id(tensor): tensor for tensor in chain(autoencoder.parameters(), autoencoder.buffers())}
    out = copy.deepcopy(autoencoder, shared)
    layers = out.codec.decoder_module().layers
    assert isinstance(layers, nn.Sequential)
    for index, layer in enumerate(layers):
        if isinstance(layer, ResidualBlock):
            layer.activation = nn.Identity()
            for name in ("first", "second"):
                exact = getattr(layer, name)
                assert isinstance(exact, nn.Conv2d)
                setattr(layer, name, EightBitConv2d(exact, after_relu=True))
        elif isinstance(layer, nn.Conv2d) and layer.in_channels >= FEWEST_INPUTS:
            after_relu = isinstance(layers[index - 1], nn.ReLU)
            if after_relu:
                layers[index - 1] = nn.Identity()
            layers[index] = EightBitConv2d(layer, after_relu=after_relu)
    return out


class EightBitConv2d(nn.Module):
    """A convolution in eight bits, with the tensors of another, after a ReLU if that is part of it."""

    def __init__(self, exact: nn.Conv2d, *, after_relu: bool) -> None:
        """`exact` has a bias and borders, if any, of the picture's values: zeros would be others once it is rounded."""
        super().__init__()
        assert exact.padding_mode != "zeros" or exact.padding == (0, 0), exact
        self.exact, self.after_relu = exact, after_relu
        self._rounded: Kept[_Rounded] = Kept()

    def forward(self, x: Tensor) -> Tensor:
        """Map float32 (B, I, H, W) to (B, O, H, W)."""
        exact = self.exact
        assert exact.bias is not None
        least = x.new_zeros(()) if self.after_relu else x.amin()
        step = max(float(x.amax() - least), 0.0) / 255 or 1.0
        # x = least + step q. Conversions from and to 16 bits are fast, those from float32 to 8 are not.
        q = torch.add(0.5 - least / step, x, alpha=1 / step).clamp_(min=0).to(torch.int16).to(torch.uint8)
        if exact.padding_mode != "zeros":
            q = nn.functional.pad(q, exact._reversed_padding_repeated_twice, mode=exact.padding_mode)
        weight = self._rounded.get(self._round, exact.weight)
        out: Tensor = torch.ops.onednn.qconv2d_pointwise(
            qx=q,
            x_scale=step,
            x_zero_point=0,
            qw=weight.packed,
            w_scale=weight.steps,
            w_zero_point=weight.zeros,
            bias=torch.addcmul(exact.bias, least, weight.sums),
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
