"""Total variation of feature maps (IG-AE, App. C, Eqs. 13 and 14): normalised per element, or as the paper has it."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import mse_loss

SMALLEST_LENGTH = 1e-12
"""Added to |.|_p^p before a root is taken of it, whose slope is infinite at zero."""


def total_variation(maps: Tensor, *, p: int = 2, q: int = 2) -> Tensor:
    """Mean over neighbours of |difference|_p^q for maps (..., H, W, C): a scalar.

    The differences along rows and columns are averaged separately and added; for p = q = 2 each is a mean of squares
    over elements, so that the weight of the term does not depend on the number of maps, pixels or channels.
    """
    down = maps[..., 1:, :, :], maps[..., :-1, :, :]
    right = maps[..., :, 1:, :], maps[..., :, :-1, :]
    if p == q == 2:
        # The same number with half of the memory traffic: it is part of every training step.
        return mse_loss(*down) + mse_loss(*right)
    return _norm(down[0] - down[1], p=p, q=q) + _norm(right[0] - right[1], p=p, q=q)


def total_variation_sum(maps: Tensor, *, p: int = 2, q: int = 2) -> Tensor:
    """Eq. 13 of every map (..., H, W, C), (...): 1/(H W) times the sum of |difference|_p^q, norms over the channels.

    Against `total_variation`, a map with C channels counts C times as much for p = q, and more so with q < p.
    """
    height, width = maps.shape[-3:-1]
    down, right = maps.diff(dim=-3), maps.diff(dim=-2)
    return sum((_lengths(d, p=p, q=q).sum(dim=(-2, -1)) for d in (down, right)), maps.new_zeros(())) / (
        height * width
    )


def _lengths(difference: Tensor, *, p: int, q: int) -> Tensor:
    """|.|_p^q over the last dimension; with a gradient where differences vanish."""
    powers = difference.abs().pow(p).sum(dim=-1)
    return powers if p == q else (powers + SMALLEST_LENGTH).pow(q / p)


def _norm(difference: Tensor, *, p: int, q: int) -> Tensor:
    if p == q:
        return difference.abs().pow(p).mean()
    channels = difference.shape[-1]
    return _lengths(difference, p=p, q=q).mean() / channels
