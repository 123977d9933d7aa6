"""K-Planes: features of planes at several scales, multiplied (Fridovich-Keil et al. 2023), static and hybrid.

Multiplying the three planes' features localises: a product is large only where all three planes agree, which a sum
cannot express. "Hybrid" is the paper's variant with MLP decoders.

Shape suffixes: P points, K plane resolution, F plane features, S scales, C output channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentfields.fields.config import KPlanesConfig
from latentfields.fields.field import DensityField, Field, Head, apply_head, truncated_exp
from latentfields.fields.spherical_harmonics import COUNT, spherical_harmonics
from latentfields.fields.total_variation import total_variation
from latentfields.rendering.kernels.plane_lookup import plane_features

INITIAL_RANGE = (0.1, 0.5)
"""Features of the planes start uniformly in this range, so that products are neither zero nor large."""

DENSITY_SHIFT = -1.0
"""Added before the exponential: space starts out thin."""


def new_planes(
    resolution: int, features: int, *, initial_range: tuple[float, float] = INITIAL_RANGE
) -> nn.Parameter:
    """Three planes (3, K, K, F) of K-Planes, drawn from the global generator."""
    return nn.Parameter(torch.empty(3, resolution, resolution, features).uniform_(*initial_range))


def plane_product(planes: Tensor, points: Tensor) -> Tensor:
    """Product over the planes (3, K, K, F) of their features at points (P, 3) in [-1, 1]^3: (P, F). Eq. 2."""
    xy, xz, yz = plane_features(planes, points).unbind(1)
    return xy * xz * yz


class KPlanes(Field):
    """One scene's planes and MLPs."""

    rounds = True

    def __init__(self, config: KPlanesConfig, *, channels: int, head: Head) -> None:
        """`channels` is C; weights are drawn from the global generator."""
        super().__init__()
        self.config = config
        self.channels = channels
        self.head: Head = head
        self.planes = nn.ParameterList(
            new_planes(config.resolution * scale, config.features) for scale in config.scales
        )
        hidden, passed = config.hidden, config.geometry_features
        self.geometry = nn.Sequential(
            nn.Linear(config.features * len(config.scales), hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, 1 + passed),
        )
        self.color = nn.Sequential(
            nn.Linear(passed + (COUNT if config.view_dependent else 0), hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels),
        )

    def features(self, points: Tensor) -> Tensor:
        """Concatenated features (P, S F) of all scales at points (P, 3)."""
        return torch.cat([plane_product(planes, points) for planes in self.planes], dim=-1)

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3)."""
        first, last = self.geometry[0], self.geometry[2]
        assert isinstance(last, nn.Linear)
        hidden = torch.relu_(first(self.features(points)))
        out = torch.nn.functional.linear(hidden, last.weight[:1], last.bias[:1])[:, 0]
        return truncated_exp(out + DENSITY_SHIFT)

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along unit directions (P, 3)."""
        hidden = self.geometry(self.features(points))
        inputs = hidden[:, 1:]
        if self.config.view_dependent:
            inputs = torch.cat([spherical_harmonics(directions), inputs], dim=-1)
        return truncated_exp(hidden[:, 0] + DENSITY_SHIFT), apply_head(self.color(inputs), self.head)

    def regularisation(self) -> Tensor:
        """Total variation of the planes, meaned over the scales (Eq. 5)."""
        terms = torch.stack([total_variation(planes) for planes in self.planes])
        return self.config.tv_weight * terms.mean()

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """Planes and MLPs have their own learning rates."""
        mlps = [*self.geometry.parameters(), *self.color.parameters()]
        return [
            {"params": list(self.planes), "lr": self.config.planes_learning_rate * learning_rate_factor},
            {"params": mlps, "lr": self.config.mlp_learning_rate * learning_rate_factor},
        ]


class KPlanesProposal(DensityField):
    """A density of planes at one scale: the proposal network of K-Planes (App. C of the paper)."""

    def __init__(
        self,
        *,
        resolution: int,
        features: int,
        hidden: int,
        learning_rate: float,
        tv_weight: float,
        initial_range: tuple[float, float] = INITIAL_RANGE,
    ) -> None:
        """Sizes as in `ProposalSamplingConfig`; weights are drawn from the global generator."""
        super().__init__()
        self.learning_rate, self.tv_weight = learning_rate, tv_weight
        self.planes = new_planes(resolution, features, initial_range=initial_range)
        self.mlp = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, 1))

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3)."""
        return truncated_exp(self.mlp(plane_product(self.planes, points))[:, 0] + DENSITY_SHIFT)

    def regularisation(self) -> Tensor:
        """Total variation of the planes."""
        return self.tv_weight * total_variation(self.planes)

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """One learning rate for everything."""
        return [{"params": list(self.parameters()), "lr": self.learning_rate * learning_rate_factor}]
