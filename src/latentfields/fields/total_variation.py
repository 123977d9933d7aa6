"""Total variation of feature maps (IG-AE, App. C, Eqs. 13 and 14), normalised per element."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import mse_loss


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


def _norm(difference: Tensor, *, p: int, q: int) -> Tensor:
    if p == q:
        return difference.abs().pow(p).mean()
    channels = difference.shape[-1]
    return (difference.abs().pow(p).sum(dim=-1) + 1e-12).pow(q / p).mean() / channels
