"""Instant-NGP: a multiresolution hash encoding and two small MLPs (Mueller et al. 2022, Sec. 5.4).

Shape suffixes: P points, L levels, F features per level, C output channels.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from latentfields.fields.config import InstantNgpConfig
from latentfields.fields.field import Field, Head, apply_head, truncated_exp
from latentfields.fields.spherical_harmonics import COUNT, spherical_harmonics
from latentfields.rendering.kernels.hash_encoding import hash_encoding, pyramid, total_rows
from latentfields.rendering.kernels.mlp import mlp

INITIAL_RANGE = 1e-4
"""The table starts uniformly in [-1e-4, 1e-4] (Sec. 4)."""


class InstantNgp(Field):
    """One scene's hash table and MLPs."""

    rounds = True

    def __init__(self, config: InstantNgpConfig, *, channels: int, head: Head) -> None:
        """`channels` is C; weights are drawn from the global generator."""
        super().__init__()
        self.config = config
        self.channels = channels
        self.head: Head = head
        self.levels = pyramid(
            levels=config.levels,
            coarsest=config.coarsest,
            finest=config.finest,
            table_size=2**config.log2_table_size,
        )
        rows = total_rows(self.levels)
        self.table = nn.Parameter(torch.empty(rows, config.features).uniform_(-INITIAL_RANGE, INITIAL_RANGE))
        inputs, hidden, passed = config.levels * config.features, config.hidden, config.geometry_features
        self.geometry = _layers(inputs, hidden, passed)
        directional = COUNT if config.view_dependent else 0
        self.color = _layers(directional + passed, hidden, hidden, channels)

    def encode(self, points: Tensor) -> Tensor:
        """Hash encoding (P, L F) of points (P, 3)."""
        return hash_encoding(self.table, points, self.levels)

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3): the exponential of the first MLP's first output."""
        return truncated_exp(mlp(self.encode(points), *self.geometry)[:, 0])

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along unit directions (P, 3)."""
        passed = mlp(self.encode(points), *self.geometry)
        inputs = passed
        if self.config.view_dependent:
            inputs = torch.cat([spherical_harmonics(directions), passed], dim=-1)
        return truncated_exp(passed[:, 0]), apply_head(mlp(inputs, *self.color), self.head)

    def regularisation(self) -> Tensor:
        """Nothing: the MLPs' weights decay in the optimiser."""
        return self.table.new_zeros(())

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """The table and the MLPs have their own learning rates; only the MLPs are L2-regularised (Sec. 4)."""
        config = self.config
        mlps = [*self.geometry.parameters(), *self.color.parameters()]
        return [
            {"params": [self.table], "lr": config.table_learning_rate * learning_rate_factor},
            {
                "params": mlps,
                "lr": config.mlp_learning_rate * learning_rate_factor,
                "weight_decay": config.weight_decay,
            },
        ]


def _layers(*widths: int) -> nn.ModuleList:
    """Linear layers without biases, Glorot-initialised (Sec. 4)."""
    layers = nn.ModuleList()
    for inputs, outputs in itertools.pairwise(widths):
        layer = nn.Linear(inputs, outputs, bias=False)
        nn.init.xavier_uniform_(layer.weight)
        layers.append(layer)
    return layers
