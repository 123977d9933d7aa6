"""Muon: momentum whose update is orthogonalised, for convolution and matrix weights (Jordan et al., 2024).

Beside it, Adam for what is no matrix, as one optimiser.

`torch.optim.Muon` takes matrices only and needs a newer torch than this package does; convolution kernels are
treated here as matrices of shape (outputs, inputs * height * width).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


def orthogonalised(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """An approximately (semi-)orthogonal matrix (m, n) with the row and column spaces of `matrix`.

    Five quintic Newton-Schulz steps leave singular values between about 0.7 and 1.2, which is all Muon needs.
    """
    x = matrix / (matrix.norm() + 1e-12)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        polynomial = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        x = torch.addmm(x, polynomial, x, beta=3.4445)
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
            self._step_group(group)

    def _step_group(self, group: dict[str, Any]) -> None:
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


class MuonWithAdam(Muon):
    """Muon for the groups that have a momentum, Adam (Kingma and Ba 2015) for those that have betas."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        """Every group has "params", "lr", and "momentum" or both "betas" and "eps"."""
        torch.optim.Optimizer.__init__(self, list(groups), {})

    def _step_group(self, group: dict[str, Any]) -> None:
        if "momentum" in group:
            super()._step_group(group)
            return
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), device=parameter.device)
                state["exp_avg"] = torch.zeros_like(parameter)
                state["exp_avg_sq"] = torch.zeros_like(parameter)
        first, second = group["betas"]
        adam(
            parameters,
            [parameter.grad for parameter in parameters],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=first,
            beta2=second,
            lr=group["lr"],
            weight_decay=group.get("weight_decay", 0.0),
            eps=group["eps"],
            maximize=False,
            fused=True,
        )
