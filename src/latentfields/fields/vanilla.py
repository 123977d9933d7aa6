"""Vanilla NeRF: one multilayer perceptron of encoded positions and directions (Mildenhall et al. 2020, Fig. 7).

Shape suffixes: P points, W width, C output channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentfields.fields.config import VanillaConfig
from latentfields.fields.field import Field, Head, apply_head
from latentfields.fields.positional_encoding import encoded_size, positional_encoding


class Vanilla(Field):
    """A trunk that gives the density, and a branch that sees the direction and gives the features.

    Density is scale * softplus(output of the trunk + shift), as in mip-NeRF (Barron et al. 2021, Sec. 3.1) and
    Nerfstudio: NeRF's own ReLU can be zero everywhere at the start and then never learns.
    """

    rounds = True

    def __init__(self, config: VanillaConfig, *, channels: int, head: Head) -> None:
        """`channels` is C; `head` the activation of the features."""
        super().__init__()
        self.config = config
        self.channels = channels
        self.head: Head = head
        position_size = encoded_size(3, octaves=config.position_octaves)
        direction_size = encoded_size(3, octaves=config.direction_octaves) if config.view_dependent else 0
        width = config.width
        inputs = [position_size] + [
            width + position_size if layer == config.skip_after else width
            for layer in range(1, config.layers)
        ]
        self.trunk = nn.ModuleList(nn.Linear(size, width) for size in inputs)
        self.density_output = nn.Linear(width, 1)
        # Linear on purpose: no activation between the trunk's feature vector and the branch.
        self.bottleneck = nn.Linear(width, width)
        self.branch = nn.Linear(width + direction_size, config.branch_width)
        self.output = nn.Linear(config.branch_width, channels)

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3)."""
        return self._density(self._trunk(points))

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along unit directions (P, 3)."""
        hidden = self._trunk(points)
        # Nothing but products lies between the trunk and the branch's activation: one product of points instead of two.
        weight, toward = self.branch.weight.tensor_split([self.config.width], dim=1)
        bias = torch.addmv(self.branch.bias, weight, self.bottleneck.bias)
        branch = torch.nn.functional.linear(hidden, weight @ self.bottleneck.weight, bias)
        if self.config.view_dependent:
            encoded = positional_encoding(directions, octaves=self.config.direction_octaves)
            branch = torch.addmm(branch, encoded, toward.T)
        features = self.output(torch.relu(branch))
        return self._density(hidden), apply_head(features, self.head)

    def _trunk(self, points: Tensor) -> Tensor:
        """Activations (P, W) of the last hidden layer; the encoded position enters a second time on the way."""
        encoded = positional_encoding(points, octaves=self.config.position_octaves)
        hidden = encoded
        for index, layer in enumerate(self.trunk):
            assert isinstance(layer, nn.Linear)
            if index > 0 and index == self.config.skip_after:
                again, on = layer.weight.tensor_split([encoded.shape[1]], dim=1)
                hidden = torch.addmm(nn.functional.linear(encoded, again, layer.bias), hidden, on.T)
            else:
                hidden = layer(hidden)
            hidden = hidden.relu_()
        return hidden

    def _density(self, hidden: Tensor) -> Tensor:
        output = self.density_output(hidden)[:, 0] + self.config.density_shift
        return self.config.density_scale * torch.nn.functional.softplus(output)

    @torch.no_grad()
    def begin_in_hull(self) -> None:
        """Start with the density that pays where samples are taken inside of a visual hull only."""
        self.density_output.bias.add_(self.config.hull_density_shift)

    def regularisation(self) -> Tensor:
        """Zero: the method has no regulariser."""
        return self.output.weight.new_zeros(())

    def parameter_groups(self, *, learning_rate_factor: float) -> list[dict[str, object]]:
        """One group: all weights share a learning rate."""
        return [{"params": list(self.parameters()), "lr": self.config.learning_rate * learning_rate_factor}]
