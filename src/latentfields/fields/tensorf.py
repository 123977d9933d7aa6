"""TensoRF: density and appearance as sums of vector-matrix products (Chen et al. 2022).

Mode m of three pairs a plane (xy, xz, yz) with the line along the axis that the plane lacks (z, y, x). A component of
the mode is the product of the two, interpolated at a point: bilinearly in the plane, linearly in the line. Summed
components are the density (Eq. 9 there), concatenated ones the appearance (Eq. 10).

The box is [-1, 1]^3 throughout: the method's shrinking box and alpha mask, which save time in empty space, are what
the density grid does here.

Shape suffixes: P points, K resolution, R components per mode (density first, then appearance), C output channels.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from latentfields.fields.config import TensorfConfig
from latentfields.fields.field import Field, Head, apply_head
from latentfields.fields.positional_encoding import encoded_size, positional_encoding
from latentfields.fields.total_variation import total_variation
from latentfields.rendering.kernels.plane_lookup import plane_features

INITIAL_SCALE = 0.1
"""Standard deviation of the factors at the start."""


def line_features(lines: Tensor, points: Tensor) -> Tensor:
    """Features (P, 3, R) of lines (3, K, R) at points (P, 3) in [-1, 1]^3, linear between cell centres.

    Cells lie as those of `plane_features`: half a cell inside the border, beyond which the border value holds.
    """
    # Each mode's line is along the coordinate that its plane, in the order of `plane_features`, lacks: z, y, x.
    along = points.flip(1).T[:, None, :, None]
    # A line is a map that is one column wide: the first coordinate of sampling positions does not matter.
    positions = torch.cat([torch.zeros_like(along), along], dim=-1)
    maps = lines.permute(0, 2, 1)[..., None]
    values = torch.nn.functional.grid_sample(maps, positions, padding_mode="border", align_corners=False)
    return values[:, :, 0].permute(2, 0, 1)


class Tensorf(Field):
    """One scene's factors, basis matrix and decoder."""

    rounds = True

    def __init__(self, config: TensorfConfig, *, channels: int, head: Head) -> None:
        """`channels` is C; `head` the activation of the features."""
        super().__init__()
        self.config = config
        self.channels = channels
        self.head: Head = head
        k, r = config.initial_resolution, config.density_components + config.appearance_components
        # Density and appearance share tables: one lookup costs less than two.
        self.planes = nn.Parameter(INITIAL_SCALE * torch.randn(3, k, k, r))
        self.lines = nn.Parameter(INITIAL_SCALE * torch.randn(3, k, r))
        # The matrix B of Eq. 10.
        self.basis = nn.Linear(3 * config.appearance_components, config.appearance_features, bias=False)
        inputs = encoded_size(config.appearance_features, octaves=config.feature_octaves)
        if config.view_dependent:
            inputs += encoded_size(3, octaves=config.direction_octaves)
        self.decoder = nn.Sequential(
            nn.Linear(inputs, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, config.hidden),
            nn.ReLU(),
            nn.Linear(config.hidden, channels),
        )

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3): scale * softplus(sum of the density's components + shift)."""
        count = self.config.density_components
        planes, lines = self.planes[..., :count].contiguous(), self.lines[..., :count]
        return self._density(plane_features(planes, points) * line_features(lines, points))

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along unit directions (P, 3)."""
        config = self.config
        components = plane_features(self.planes, points) * line_features(self.lines, points)
        density, appearance = components.split(
            [config.density_components, config.appearance_components], dim=-1
        )
        features = self.basis(appearance.flatten(1))
        inputs = positional_encoding(features, octaves=config.feature_octaves, lowest=1.0)
        if config.view_dependent:
            encoded = positional_encoding(directions, octaves=config.direction_octaves, lowest=1.0)
            inputs = torch.cat([inputs, encoded], dim=1)
        return self._density(density), apply_head(self.decoder(inputs), self.head)

    def _density(self, components: Tensor) -> Tensor:
        total = components.sum(dim=(1, 2)) + self.config.density_shift
        return self.config.density_scale * torch.nn.functional.softplus(total)

    def regularisation(self) -> Tensor:
        """L1 norm of the density's factors (Eq. 12), total variation of the planes (Eq. 13), weighted."""
        config = self.config
        density, appearance = self.planes.split(
            [config.density_components, config.appearance_components], dim=-1
        )
        loss = self.planes.new_zeros(())
        if config.l1_weight:
            lines = self.lines[..., : config.density_components]
            loss = loss + config.l1_weight * (density.abs().mean() + lines.abs().mean())
        if config.density_tv_weight:
            loss = loss + config.density_tv_weight * total_variation(density)
        if config.appearance_tv_weight:
            loss = loss + config.appearance_tv_weight * total_variation(appearance)
        return loss

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """Factors and networks (the basis matrix included) have their own learning rates."""
        networks = [*self.basis.parameters(), *self.decoder.parameters()]
        return [
            {
                "params": [self.planes, self.lines],
                "lr": self.config.factors_learning_rate * learning_rate_factor,
            },
            {"params": networks, "lr": self.config.network_learning_rate * learning_rate_factor},
        ]

    def resolution_at(self, progress: float) -> int:
        """K at that progress: log-spaced from the initial to the final resolution."""
        config = self.config
        stage = bisect.bisect_right(config.upsample_at, progress)
        if stage == 0:
            return config.initial_resolution
        growth: float = (config.final_resolution / config.initial_resolution) ** (
            stage / len(config.upsample_at)
        )
        return round(config.initial_resolution * growth)

    def advance(self, progress: float) -> bool:
        """Upsample the factors when `progress` has passed another of the configured moments (Sec. 4.4)."""
        resolution = self.resolution_at(progress)
        # A finished fit that is trained longer is earlier in its longer course: what has grown stays.
        if resolution <= self.planes.shape[1]:
            return False
        self._upsample(resolution)
        return True

    @torch.no_grad()
    def _upsample(self, resolution: int) -> None:
        """Replace the factors by their own interpolation at the centres of smaller cells."""
        planes = torch.nn.functional.interpolate(
            self.planes.permute(0, 3, 1, 2), size=(resolution, resolution), mode="bilinear"
        )
        lines = torch.nn.functional.interpolate(self.lines.permute(0, 2, 1), size=resolution, mode="linear")
        self.planes = nn.Parameter(planes.permute(0, 2, 3, 1).contiguous())
        self.lines = nn.Parameter(lines.permute(0, 2, 1).contiguous())

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """Give the factors the resolution that they have in `state`."""
        resolution = state["planes"].shape[1]
        if resolution != self.planes.shape[1]:
            components = self.planes.shape[-1]
            self.planes = nn.Parameter(self.planes.new_empty(3, resolution, resolution, components))
            self.lines = nn.Parameter(self.lines.new_empty(3, resolution, components))
