"""Decoders in integers of eight bits: products of integers are exact, and the rest is rounded as far as it may be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from helpers.autoencoders import small_tiny
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.diffusers_codec import DiffusersCodec
from latentfields.autoencoders.eight_bits import EightBitConv2d, in_eight_bits
from latentfields.autoencoders.load import load_autoencoder
from latentfields.devices import has_eight_bits

Border = Literal["replicate", "reflect"]

pytestmark = pytest.mark.skipif(
    not has_eight_bits(torch.device("cpu")), reason="no instructions for products of 8-bit integers"
)


def layer(size: int, *, border: Border = "replicate") -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(32, 5, size, padding=size // 2, padding_mode=border)


def picture(*, least: float = -3.0, largest: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.empty(2, 32, 6, 7).uniform_(least, largest, generator=generator)


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("least", [0, -100])
def test_integers_are_multiplied_exactly(size: int, least: int) -> None:
    exact = layer(size)
    whole = torch.Generator().manual_seed(2)
    exact.weight.copy_(torch.randint(-127, 128, exact.weight.shape, generator=whole))
    exact.weight.view(5, -1)[:, 0] = 127
    x = torch.randint(least, least + 256, (1, 32, 5, 4), generator=whole).float()
    x[0, 0, 0, 0], x[0, 0, 0, 1] = least, least + 255
    torch.testing.assert_close(EightBitConv2d(exact, after_relu=False)(x), exact(x), atol=2.0, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("border", ["replicate", "reflect"])
@pytest.mark.parametrize("ends", [(-3.0, 2.0), (0.0, 4.0), (-5.0, -1.0)])
def test_errors_are_those_of_rounding(border: Border, ends: Sequence[float]) -> None:
    exact, x = layer(3, border=border), picture(least=ends[0], largest=ends[1])
    error = EightBitConv2d(exact, after_relu=False)(x) - exact(x)
    # Half a step for every input and for every weight, and where both are off.
    weights = exact.weight.abs()
    inputs, steps = (ends[1] - ends[0]) / 255 / 2, weights.amax(dim=(1, 2, 3)) / 127 / 2
    most = inputs * weights.sum(dim=(1, 2, 3)) + steps * 32 * 9 * (x.abs().max() + inputs)
    assert (error.abs().amax(dim=(0, 2, 3)) <= most).all()
    # They are as good as random, so that sums have much smaller ones.
    assert 0 < error.square().mean().sqrt() < 0.01 * exact(x).std()


@torch.no_grad()
@pytest.mark.parametrize("ends", [(-3.0, 2.0), (-2.0, -1.0), (-1e6, 1.0)])
def test_a_relu_may_be_part_of_it(ends: Sequence[float]) -> None:
    exact, x = layer(3), picture(least=ends[0], largest=ends[1])
    found = EightBitConv2d(exact, after_relu=True)(x)
    torch.testing.assert_close(found, EightBitConv2d(exact, after_relu=False)(x.relu()), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("value", [0.0, 1.7, -2.0])
def test_a_constant_picture_is_exact_but_for_the_weights(value: float) -> None:
    exact = layer(3)
    x = torch.full((1, 32, 4, 4), value)
    found, expected = EightBitConv2d(exact, after_relu=False)(x), exact(x)
    assert torch.equal(found, found[..., :1, :1].expand_as(found))
    torch.testing.assert_close(found, expected, atol=0.01, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("name", ["base", "base-f4"])
def test_decoded_pictures_are_near(name: str) -> None:
    autoencoder = load_autoencoder(name)
    side = autoencoder.factor * 8
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    image = torch.stack([x, (x - y).abs() > 0.3, 0.5 + 0.5 * (25 * y).sin()])[None]
    latents = autoencoder.encode(image)
    rounded = in_eight_bits(autoencoder)
    assert rounded is not None
    error = rounded.decode(latents) - autoencoder.decode(latents)
    assert 0 < error.square().mean().sqrt() < 5e-3


@torch.no_grad()
def test_what_changes_the_autoencoder_changes_its_twin() -> None:
    autoencoder = load_autoencoder("base-f4")
    twin = in_eight_bits(autoencoder)
    assert twin is not None
    assert {id(p) for p in twin.parameters()} == {id(p) for p in autoencoder.parameters()}
    assert not any(isinstance(module, EightBitConv2d) for module in autoencoder.modules())
    latents = torch.randn(1, autoencoder.channels, 6, 6, generator=torch.Generator().manual_seed(3))
    before = twin.decode(latents)
    for parameter in autoencoder.decoder_parameters():
        parameter.mul_(0.5)
    after, expected = twin.decode(latents), autoencoder.decode(latents)
    assert (after - expected).square().mean().sqrt() < 0.1 * (after - before).square().mean().sqrt()


def test_only_known_decoders_are_rounded() -> None:
    other = Autoencoder(DiffusersCodec(small_tiny()), None, name="tiny")
    assert in_eight_bits(other) is None
