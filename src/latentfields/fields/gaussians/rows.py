"""Adding and removing Gaussians while an optimiser follows them, row by row.

Shape suffixes: N Gaussians before, M after.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentfields.fields.gaussians.field import PARAMETERS, GaussianField


@torch.no_grad()
def take_rows(field: GaussianField, optimizer: torch.optim.Optimizer, rows: Tensor, *, fresh: Tensor) -> None:
    """Let Gaussian i become what Gaussian `rows[i]` was, for `rows` (M,) int64; values can be changed afterwards.

    The optimiser's moments go with the values, but for those with `fresh` (M,) bool, which start at zero.
    """
    for name in PARAMETERS:
        old = getattr(field, name)
        new = nn.Parameter(old[rows])
        setattr(field, name, new)
        for group in optimizer.param_groups:
            group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
        moments = optimizer.state.pop(old, None)
        if moments is not None:
            optimizer.state[new] = {
                key: _taken(value, rows, fresh) if value.shape == old.shape else value
                for key, value in moments.items()
            }


@torch.no_grad()
def forget_moments(parameter: nn.Parameter, optimizer: torch.optim.Optimizer, rows: Tensor) -> None:
    """Set the moments of some `rows` (bool mask or indices) of a parameter to zero."""
    for value in optimizer.state.get(parameter, {}).values():
        if value.shape == parameter.shape:
            value[rows] = 0


def _taken(moments: Tensor, rows: Tensor, fresh: Tensor) -> Tensor:
    taken = moments[rows]
    taken[fresh] = 0
    return taken
