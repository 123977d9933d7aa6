"""Adding and removing Gaussians while an optimiser follows them, row by row.

Shape suffixes: N Gaussians before, M after.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentfields.fields.gaussians.field import PARAMETERS, VALUES, GaussianField


@torch.no_grad()
def take_rows(
    field: GaussianField,
    optimizer: torch.optim.Optimizer,
    rows: Tensor,
    *,
    fresh: Tensor,
    others: Sequence[torch.optim.Optimizer] = (),
) -> None:
    """Let Gaussian i become what Gaussian `rows[i]` was, for `rows` (M,) int64; values can be changed afterwards.

    The optimiser's moments go with the values, but for those with `fresh` (M,) bool, which start at zero. Values that
    follow the field go with it, and so do their moments in the `others` that fit them.
    """
    for owner, names in ((field, PARAMETERS), *((values, VALUES) for values in field.followers)):
        for name in names:
            old = getattr(owner, name)
            new = nn.Parameter(old[rows])
            setattr(owner, name, new)
            for each in (optimizer, *others):
                for group in each.param_groups:
                    group["params"] = [
                        new if parameter is old else parameter for parameter in group["params"]
                    ]
                moments = each.state.pop(old, None)
                if moments is not None:
                    each.state[new] = {
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
