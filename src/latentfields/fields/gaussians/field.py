"""3D Gaussians with features of any number of channels (Kerbl et al. 2023; LRF Sec. 4.2, Eq. 8).

A second set of features, such as latents beside colours, is a `GaussianValues`: it follows the rows of the field, and
has learning rates of its own (Zhou et al. 2024, Feature 3DGS, give every Gaussian a feature beside its colour).

Parameters are kept before their activations and under the names of the usual PLY files: logarithms of scales, logits
of opacities, spherical-harmonic coefficients of degree 0 (`features_dc`) and of higher degrees (`features_rest`).

Shape suffixes: N Gaussians, K = (degree + 1)^2 harmonics, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latentfields.fields.config import GaussiansConfig
from latentfields.fields.densification import McmcDensificationConfig
from latentfields.fields.field import Head, Representation
from latentfields.fields.spherical_harmonics import spherical_harmonics
from latentfields.rendering.splatting.gaussians import Gaussians

HARMONIC_0 = 0.28209479177387814
"""The harmonic of degree 0, everywhere."""
VALUES = ("features_dc", "features_rest")
"""Parameters that are features, with one row per Gaussian."""
PARAMETERS = ("means", "scales", "rotations", "opacities", *VALUES)
"""Parameters with one row per Gaussian."""


def harmonics_sum(dc: Tensor, rest: Tensor, toward: Tensor, *, degree: int) -> Tensor:
    """Sums (N, C) of harmonics up to `degree`, of coefficients (N, 1, C) and (N, K - 1, C), along `toward` (N, 3)."""
    summed = HARMONIC_0 * dc[:, 0]
    count = (degree + 1) ** 2 - 1
    if count:
        basis = spherical_harmonics(torch.nn.functional.normalize(toward, dim=-1))[:, 1 : count + 1]
        summed = summed + (basis[:, :, None] * rest[:, :count]).sum(dim=1)
    return summed


def degree_at(config: GaussiansConfig, progress: float) -> int:
    """The highest degree of the harmonics that is fitted at that progress: one more after every `degree_every`."""
    every = config.degree_every
    return min(config.degree, int(progress / every)) if every > 0 else config.degree


def ended(summed: Tensor, head: Head) -> Tensor:
    """Features of the harmonics' sums: max(0, sum + 0.5) with the head "sigmoid", as 3DGS has colours, or the sums."""
    return summed if head == "linear" else (summed + 0.5).clamp(min=0)


class GaussianValues(Representation):
    """A second set of features of one scene's Gaussians, whose shapes and opacities a `GaussianField` has."""

    features_dc: nn.Parameter
    """(N, 1, C)."""
    features_rest: nn.Parameter
    """(N, K - 1, C)."""

    def __init__(self, config: GaussiansConfig, *, channels: int, head: Head) -> None:
        """As `GaussianField`."""
        super().__init__()
        self.config, self.channels = config, channels
        self.head: Head = head
        self.active_degree = config.degree
        self.begin(0)

    def begin(self, count: int) -> None:
        """Start with `count` Gaussians, all with the mean."""
        device = self.features_dc.device if hasattr(self, "features_dc") else None
        harmonics = (self.config.degree + 1) ** 2
        for name, rows in zip(VALUES, (1, harmonics - 1), strict=True):
            setattr(self, name, nn.Parameter(torch.zeros(count, rows, self.channels, device=device)))

    def features(self, toward: Tensor) -> Tensor:
        """Features (N, C) as seen along `toward` (N, 3), of any length, of the degrees that are active."""
        summed = harmonics_sum(self.features_dc, self.features_rest, toward, degree=self.active_degree)
        return ended(summed, self.head)

    def regularisation(self) -> Tensor:
        """Zero: what Gaussians are held to are their shapes and opacities."""
        return self.features_dc.new_zeros(())

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """The learning rates of a field's features."""
        rates = (self.config.features_learning_rate, self.config.harmonics_learning_rate)
        return [
            {"params": [getattr(self, name)], "lr": rate * learning_rate_factor, "decay": 1.0}
            for name, rate in zip(VALUES, rates, strict=True)
        ]

    def advance(self, progress: float) -> bool:
        """As `GaussianField.advance`."""
        self.active_degree = degree_at(self.config, progress)
        return False

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """As many Gaussians as in `state`."""
        self.begin(len(state["features_dc"]))


class GaussianField(Representation):
    """One scene's Gaussians; none at first, see `gaussians_initialisation`."""

    followers: tuple[GaussianValues, ...] = ()
    """Further features, whose rows are those of the field; they belong to somebody else, who keeps them."""

    means: nn.Parameter
    """(N, 3) in the normalised frame."""
    scales: nn.Parameter
    """(N, 3) logarithms of standard deviations."""
    rotations: nn.Parameter
    """(N, 4) quaternions w, x, y, z of any length."""
    opacities: nn.Parameter
    """(N,) logits."""
    features_dc: nn.Parameter
    """(N, 1, C)."""
    features_rest: nn.Parameter
    """(N, K - 1, C)."""

    def __init__(self, config: GaussiansConfig, *, channels: int, head: Head) -> None:
        """`head` says where features end: "sigmoid" is max(0, sum + 0.5), as 3DGS has colours; "linear" the sum."""
        super().__init__()
        self.config = config
        self.channels = channels
        self.head: Head = head
        self.active_degree = config.degree
        harmonics = (config.degree + 1) ** 2
        shapes = ((3,), (3,), (4,), (), (1, channels), (harmonics - 1, channels))
        self.set_rows({name: torch.zeros(0, *shape) for name, shape in zip(PARAMETERS, shapes, strict=True)})

    def __len__(self) -> int:
        return len(self.means)

    def set_rows(self, rows: Mapping[str, Tensor]) -> None:
        """Replace all `PARAMETERS` by new ones, of these values."""
        for name in PARAMETERS:
            setattr(self, name, nn.Parameter(rows[name].detach().clone()))

    def gaussians(self) -> Gaussians:
        """Shapes and opacities, activated."""
        return Gaussians(
            means=self.means,
            rotations=self.rotations,
            scales=self.scales.exp(),
            opacities=torch.sigmoid(self.opacities),
        )

    def features(self, center: Tensor) -> Tensor:
        """Features (N, C) as seen from a camera's `center` (3,): z_i of Eq. 9, of the degrees that are active."""
        toward = self.means - center
        summed = harmonics_sum(self.features_dc, self.features_rest, toward, degree=self.active_degree)
        return ended(summed, self.head)

    def regularisation(self) -> Tensor:
        """Mean opacity and mean scale, weighted, with MCMC (Kheradmand et al. 2024, Sec. 4.4); otherwise zero."""
        options = self.config.densification
        if not isinstance(options, McmcDensificationConfig):
            return self.means.new_zeros(())
        opacity, scale = torch.sigmoid(self.opacities).mean(), self.scales.exp().mean()
        return options.opacity_weight * opacity + options.scale_weight * scale

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """A learning rate for every kind of parameter; only that of the means has a decay of its own."""
        if self.head == "sigmoid":
            learning_rate_factor *= self.config.colors_factor
        rates = {
            "means": self.config.means_learning_rate,
            "scales": self.config.scales_learning_rate,
            "rotations": self.config.rotations_learning_rate,
            "opacities": self.config.opacities_learning_rate,
            "features_dc": self.config.features_learning_rate,
            "features_rest": self.config.harmonics_learning_rate,
        }
        return [
            {
                "params": [getattr(self, name)],
                "lr": rate * learning_rate_factor,
                "decay": self.config.means_decay if name == "means" else 1.0,
            }
            for name, rate in rates.items()
        ]

    def advance(self, progress: float) -> bool:
        """One more degree of the harmonics after every `degree_every`."""
        self.active_degree = degree_at(self.config, progress)
        return False

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """As many Gaussians as in `state`."""
        self.set_rows({name: torch.zeros_like(state[name], device=self.means.device) for name in PARAMETERS})
