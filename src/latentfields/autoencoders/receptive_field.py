"""How far a decoder looks around a latent, so that a part of a picture can be decoded as it is in the whole.

Shape suffixes: C latent channels, f pixels per latent.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

LENGTH = 64
"""Latents along the strips that are decoded to find out."""
WIDTH = 8
"""Latents across them."""
LARGEST = LENGTH // 2 - 2
"""Reach in latents up to which it is told from an endless one."""
_TOLERANCE = 1e-3
"""Of the largest value of a picture, between a part that is decoded by itself and the same part of the whole."""


@torch.no_grad()
def receptive_field(
    decode: Callable[[Tensor], Tensor], *, channels: int, factor: int, device: torch.device
) -> int | None:
    """Return how many latents on each side of a latent the pixels of its cell depend on.

    `decode` makes images (1, 3, f h, f w) of latents (1, C, h, w) on `device`. Nothing is known about how: one latent
    of a strip is no number, which neither weights of zero nor activations hide, and the pixels that are none then tell.
    None where it reaches farther than `LARGEST`, as with attention and with normalisation over the whole picture, and
    where a picture's part cannot be decoded by itself for another reason, such as an encoding of positions.
    """
    generator = torch.Generator().manual_seed(0)
    found = 0
    for across in (False, True):

        def strip(latents: Tensor, *, turned: bool = across) -> Tensor:
            """Pixels (1, 3, f WIDTH, f length) of a strip (1, C, WIDTH, length), in the direction that is looked at."""
            if not turned:
                return decode(latents)
            return decode(latents.transpose(2, 3)).transpose(2, 3)

        whole = torch.randn(1, channels, WIDTH, LENGTH, generator=generator).to(device)
        reach = _reach(strip, whole, factor=factor)
        if reach is None or not _decodes_parts(strip, whole, reach=reach, factor=factor):
            return None
        found = max(found, reach)
    return found


def _reach(decode: Callable[[Tensor], Tensor], strip: Tensor, *, factor: int) -> int | None:
    """Latents along a strip (1, C, WIDTH, LENGTH) that one of them has an influence on, on the farther side."""
    middle = LENGTH // 2
    strip = strip.clone()
    strip[..., middle] = torch.nan
    columns: list[int] = decode(strip).isnan().any(dim=(0, 1, 2)).nonzero()[:, 0].tolist()
    if not columns:
        return None
    first, last = columns[0] // factor, columns[-1] // factor
    # At an end of the strip it may reach on.
    if first == 0 or last == LENGTH - 1:
        return None
    return max(middle - first, last - middle)


def _decodes_parts(decode: Callable[[Tensor], Tensor], strip: Tensor, *, reach: int, factor: int) -> bool:
    """Whether a part of a strip is decoded as in the whole, as far as its ends do not reach; begun at an odd latent."""
    start, end = 1, LENGTH - 1
    whole = decode(strip)[..., (start + reach) * factor : (end - reach) * factor]
    part = decode(strip[..., start:end])[..., reach * factor : (end - start - reach) * factor]
    if part.shape != whole.shape or not whole.numel():
        return False
    return bool((whole - part).abs().max() <= _TOLERANCE * whole.abs().max())
