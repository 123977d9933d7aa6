"""How far decoders look: by their layers, by none that are known, and by those that look at everything."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from latentfields.autoencoders.config import PatchAutoencoderConfig
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.patch import PatchAutoencoder
from latentfields.autoencoders.receptive_field import LARGEST, receptive_field

CPU = torch.device("cpu")


def reach_of(decode: Callable[[Tensor], Tensor], *, factor: int = 1) -> int | None:
    return receptive_field(decode, channels=3, factor=factor, device=CPU)


@pytest.mark.parametrize(
    ("widths", "blocks", "expected"),
    [
        # One convolution, two for each block, one more.
        ((8,), (0,), 2),
        ((8,), (1,), 4),
        ((8,), (4,), 10),
        # The same on cells, then half as far on halves of cells: 3 + 1.5, and 5 + 2.5.
        ((8, 8), (1, 1), 5),
        ((8, 8), (2, 2), 8),
    ],
)
def test_it_is_what_the_layers_add_up_to(
    widths: tuple[int, ...], blocks: tuple[int, ...], expected: int
) -> None:
    """Also while convolutions have weights of zero, as those of new residual blocks."""
    config = PatchAutoencoderConfig(channels=3, patch=2, widths=widths, blocks=blocks)
    assert reach_of(PatchAutoencoder(config).decode, factor=config.factor) == expected


@pytest.mark.parametrize(("name", "expected"), [("base", 8), ("igae-f4", 14)])
def test_of_packaged_decoders(name: str, expected: int) -> None:
    autoencoder = load_autoencoder(name)
    found = receptive_field(
        autoencoder.decode, channels=autoencoder.channels, factor=autoencoder.factor, device=CPU
    )
    assert found == expected


def test_the_farther_side_counts() -> None:
    """A convolution that looks three columns to the left alone, and one of rows."""
    columns, rows = nn.Conv2d(3, 3, (1, 4)), nn.Conv2d(3, 3, (6, 1))
    assert reach_of(lambda z: columns(nn.functional.pad(z, (3, 0)))) == 3
    assert reach_of(lambda z: rows(nn.functional.pad(z, (0, 0, 0, 5)))) == 5
    assert reach_of(lambda z: z) == 0


def by_halves(latents: Tensor) -> Tensor:
    """Where cells of two begin depends on where the picture does."""
    return nn.functional.interpolate(nn.functional.avg_pool2d(latents, 2), scale_factor=2)


def by_position(latents: Tensor) -> Tensor:
    return latents + torch.linspace(0, 1, latents.shape[-1])


@pytest.mark.parametrize(
    "decode",
    [
        lambda latents: latents - latents.mean(dim=(2, 3), keepdim=True),
        nn.GroupNorm(1, 3),
        nn.Conv2d(3, 3, (1, 2 * LARGEST + 3), padding=(0, LARGEST + 1)),
        nn.Conv2d(3, 3, (2 * LARGEST + 3, 1), padding=(LARGEST + 1, 0)),
        by_halves,
        by_position,
        lambda latents: torch.zeros_like(latents),
    ],
    ids=["mean", "normalisation", "too far", "too far down", "halves", "positions", "nothing"],
)
def test_decoders_of_whole_pictures_have_none(decode: Callable[[Tensor], Tensor]) -> None:
    assert reach_of(decode) is None


def test_the_largest_is_told_from_an_endless_one() -> None:
    assert reach_of(nn.Conv2d(3, 3, (1, 2 * LARGEST + 1), padding=(0, LARGEST))) == LARGEST
