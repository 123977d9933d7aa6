"""Muon: momentum whose update is orthogonalised, for convolution and matrix weights (Jordan et al., 2024).

`torch.optim.Muon` takes matrices only and needs a newer torch than this package does; convolution kernels are
treated here as matrices of shape (outputs, inputs * height * width).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def orthogonalised(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """An approximately (semi-)orthogonal matrix (m, n) with the row and column spaces of `matrix`.

    Five quintic Newton-Schulz steps leave singular values between about 0.7 and 1.2, which is all Muon needs.
    """
    x = matrix / (matrix.norm() + 1e-12)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    out: Tensor = x.T if tall else x
    return out


class Muon(torch.optim.Optimizer):
    """Nesterov momentum with orthogonalised updates; parameters must have at least two dimensions."""

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(list(params), {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient. `closure` is not supported."""
        assert closure is None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group["lr"], group["momentum"])

    def _update(self, parameter: Tensor, lr: float, momentum: float) -> None:
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - momentum)
        direction = parameter.grad.lerp(state["momentum"], momentum).flatten(1)
        aspect = max(1.0, direction.shape[0] / direction.shape[1]) ** 0.5
        parameter.add_(orthogonalised(direction).reshape(parameter.shape), alpha=-lr * aspect)
