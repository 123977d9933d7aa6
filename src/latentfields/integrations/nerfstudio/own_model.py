"""The common part of this package's representations of scenes as models of Nerfstudio's kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from nerfstudio.models.base_model import Model
from torch import Tensor

from latentfields.fields.config import OptimizerConfig
from latentfields.fields.field import Representation
from latentfields.integrations.nerfstudio.renderer import LatentRenderer
from latentfields.training.checkpoint import without_prefix


class OwnModel(Model):
    """Renders latents as it is; the cube around Nerfstudio's scene box is [-1, 1]^3 to it."""

    schedule: OptimizerConfig
    """Optimiser and course of the learning rates, which subclasses take from their preset."""
    scene_center: Tensor
    """(3,) the middle of the cube in Nerfstudio's world."""

    def populate_modules(self) -> None:
        """The frame, and the renderer whose background lies behind the scene."""
        self.renderer: LatentRenderer = self.kwargs["renderer"]
        low, high = self.scene_box.aabb
        self.register_buffer("scene_center", (low + high) / 2, persistent=False)
        self.half_side = float((high - low).max()) / 2
        self.register_load_state_dict_pre_hook(_resize)

    def representations(self) -> dict[str, Representation]:
        """Everything that is fitted to the scene with rates of its own, by module name."""
        return {name: module for name, module in self.named_modules() if isinstance(module, Representation)}

    def get_param_groups(self) -> dict[str, list[Any]]:
        """One group, named after its optimiser: torch's groups with the learning rates of the preset."""
        options = {"betas": (0.9, self.schedule.beta2), "eps": self.schedule.eps}
        groups = [
            group | options | {"peak": group["lr"]}
            for module in self.representations().values()
            for group in module.parameter_groups(learning_rate_factor=1.0)
        ]
        return {f"fields_{self.schedule.kind}": groups}

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """Give what changes its shapes while it is fitted those of `state`, a `state_dict` of this model."""
        for name, module in self.representations().items():
            module.resize_to(without_prefix(name, state))

    def get_image_metrics_and_images(self, outputs: Any, batch: Any) -> Any:
        """Not reached: `LatentModel` compares images."""
        raise NotImplementedError


def supervision_progress(step: int, steps: int) -> float:
    """Progress in [0, 1] of a Latent Supervision of `steps` steps at iteration `step`; 1 during RGB Alignment."""
    return min(step / steps, 1.0) if steps else 1.0


def _resize(module: Any, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """Take the shapes of a checkpoint before it is loaded."""
    own = {name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)}
    # Nerfstudio also loads what is not the model's, through the model.
    if own:
        cast(OwnModel, module).resize_to(own)
