"""Tri-Plane: features on the planes xy, xz, yz, summed, and a small MLP (Chan et al. 2022; IG-AE Sec. 4.2).

Shape suffixes: P points, K plane resolution, F plane features, C output channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentfields.fields.config import TriPlaneConfig
from latentfields.fields.field import Field, Head, apply_head, truncated_exp
from latentfields.fields.total_variation import total_variation
from latentfields.rendering.kernels.mlp import mlp, mlp_parts
from latentfields.rendering.kernels.plane_lookup import plane_lookup

PLANES_SPREAD = 0.1
"""Standard deviation of new planes' features."""


class TriPlaneHead(nn.Module):
    """Plane features (and a direction) to density and C channels. IG-AE shares one among all its scenes."""

    def __init__(self, config: TriPlaneConfig, channels: int, head: Head) -> None:
        super().__init__()
        self.head: Head = head
        self.geometry = nn.Sequential(
            nn.Linear(config.features, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 1 + config.hidden)
        )
        inputs = config.hidden + (8 if config.view_dependent else 0)
        self.view_dependent = config.view_dependent
        self.color = nn.Sequential(
            nn.ReLU(), nn.Linear(inputs, config.hidden), nn.ReLU(), nn.Linear(config.hidden, channels)
        )

    def density(self, features: Tensor) -> Tensor:
        """Density (P,) of plane features (P, F)."""
        first, last = self.geometry[0], self.geometry[2]
        assert isinstance(last, nn.Linear)
        hidden = torch.relu(first(features))
        return truncated_exp(torch.nn.functional.linear(hidden, last.weight[:1], last.bias[:1])[:, 0])

    def forward(self, features: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and output (P, C) of plane features (P, F) seen along directions (P, 3)."""
        passed = len(self.geometry[2].weight) - 1  # type: ignore[arg-type]
        density, color_inputs = mlp_parts(features, *_linear(self.geometry), sizes=(1, passed))
        if self.view_dependent:
            color_inputs = torch.cat([color_inputs, direction_features(directions)], dim=-1)
        color = mlp(color_inputs, *_linear(self.color), relu_first=True)
        return truncated_exp(density[:, 0]), apply_head(color, self.head)


def _linear(layers: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in layers if isinstance(layer, nn.Linear)]


def direction_features(directions: Tensor) -> Tensor:
    """Real spherical harmonics of degrees 1 and 2, without constants, of unit directions (P, 3): (P, 8)."""
    x, y, z = directions.unbind(-1)
    return torch.stack([x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], dim=-1)


class TriPlaneFeatures(nn.Module):
    """Planes seen through a head, whoever they belong to: all that samplers need (a `RadianceField`)."""

    planes: Tensor

    def __init__(self, planes: Tensor, head: TriPlaneHead) -> None:
        """`planes` (3, K, K, F) are this module's own if they are a parameter; otherwise they are only looked at."""
        super().__init__()
        self.planes = planes
        self.head = head

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3)."""
        return self.head.density(plane_lookup(self.planes, points))

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along directions (P, 3)."""
        out: tuple[Tensor, Tensor] = self.head(plane_lookup(self.planes, points), directions)
        return out


class TriPlane(TriPlaneFeatures, Field):
    """One scene with planes and an MLP of its own."""

    rounds = True

    def __init__(self, config: TriPlaneConfig, *, channels: int, head: Head) -> None:
        k, f = config.resolution, config.features
        planes = nn.Parameter(PLANES_SPREAD * torch.randn(3, k, k, f))
        super().__init__(planes, TriPlaneHead(config, channels, head))
        self.config = config
        self.channels = channels

    def regularisation(self) -> Tensor:
        """Total variation of the planes."""
        return self.config.tv_weight * total_variation(self.planes)

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """Planes and MLP have their own learning rates."""
        return [
            {"params": [self.planes], "lr": self.config.planes_learning_rate * learning_rate_factor},
            {
                "params": list(self.head.parameters()),
                "lr": self.config.mlp_learning_rate * learning_rate_factor,
            },
        ]
