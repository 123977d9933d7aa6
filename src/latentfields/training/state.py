"""From the parts that a trainer lists to the tensors and metadata of its checkpoint, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from latentfields.training.checkpoint import pack_optimizer, unpack_optimizer, with_prefix, without_prefix

Groups = dict[str, list[dict[str, Any]]]
"""Parameter groups of optimisers, by the optimiser's name."""


class Stateful(Protocol):
    """A module, or what saves its tensors as modules do."""

    def state_dict(self) -> Mapping[str, Tensor]:
        """Its tensors by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor], /) -> Any:
        """Continue from `state_dict`."""
        ...


@dataclass(frozen=True)
class Parts:
    """Everything the next step depends on, under the names that checkpoints have for it: no two are equal."""

    modules: Mapping[str, Stateful] = field(default_factory=dict)
    """Their tensors are saved as NAME.TENSOR."""
    optimizers: Mapping[str, torch.optim.Optimizer] = field(default_factory=dict)
    """Their moments are saved as NAME.INDEX.MOMENT."""
    generators: Mapping[str, torch.Generator] = field(default_factory=dict)
    """Their states are saved as NAME."""

    def pack(self) -> tuple[dict[str, Tensor], Groups]:
        """All tensors, and the optimisers' parameter groups, which JSON can hold."""
        tensors: dict[str, Tensor] = {}
        groups: Groups = {}
        for name, module in self.modules.items():
            tensors |= with_prefix(name, module.state_dict())
        for name, optimizer in self.optimizers.items():
            moments, groups[name] = pack_optimizer(optimizer, name)
            tensors |= moments
        for name, generator in self.generators.items():
            tensors[name] = generator.get_state()
        return tensors, groups

    def unpack(self, tensors: Mapping[str, Tensor], groups: Mapping[str, list[dict[str, Any]]]) -> None:
        """Continue from what `pack` returned."""
        for name, module in self.modules.items():
            module.load_state_dict(without_prefix(name, tensors))
        for name, optimizer in self.optimizers.items():
            unpack_optimizer(optimizer, name, tensors, groups[name])
        for name, generator in self.generators.items():
            generator.set_state(tensors[name])
