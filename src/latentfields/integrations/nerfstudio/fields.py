"""This package's own fields as a ray model of Nerfstudio's kind, with the presets of `latentfields fit`.

Shape suffixes: R rays, C latent channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.configs.base_config import InstantiateConfig
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from nerfstudio.models.base_model import Model
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.fields.config import GaussiansConfig, OptimizerConfig, RayFieldName
from latentfields.fields.field import DensityField
from latentfields.fields.registry import new_field
from latentfields.integrations.nerfstudio.renderer import LatentRenderer
from latentfields.latent_nerf.build import new_sampler
from latentfields.latent_nerf.losses import latent_supervision_loss
from latentfields.latent_nerf.presets import PresetName, preset
from latentfields.rendering.options import Splatting
from latentfields.training.checkpoint import without_prefix


@dataclass
class FieldModelConfig(InstantiateConfig):
    """One of latentfields' own fields."""

    _target: type = field(default_factory=lambda: FieldModel)
    """target class to instantiate"""
    field: RayFieldName = "kplanes"
    """representation of the scene, as `latentfields fit --field`"""
    preset: PresetName = "paper"
    """sizes, sampling, learning rates and their schedule, as `latentfields fit --preset`"""
    near_plane: float = 0.05
    """distance from a camera before which there is nothing; rays end where they leave the scene box"""
    eval_num_rays_per_chunk: int = 1 << 14
    """rays rendered at a time, outside of training"""


class FieldModel(Model):
    """A field and its sampler in Nerfstudio's scene box; renders latents as it is."""

    config: FieldModelConfig
    scene_center: Tensor

    def populate_modules(self) -> None:
        """Field and sampler; the cube around the scene box is [-1, 1]^3 to them."""
        settings = preset(self.config.field, self.config.preset)
        assert not isinstance(settings.field, GaussiansConfig)
        assert not isinstance(settings.sampling, Splatting)
        self.schedule: OptimizerConfig = settings.field.optimizer
        self.renderer: LatentRenderer = self.kwargs["renderer"]
        channels = len(self.renderer.background)
        self.field = new_field(settings.field, channels=channels, head="linear")
        self.sampler = new_sampler(settings.sampling, settings.field, channels, "linear")
        low, high = self.scene_box.aabb
        self.register_buffer("scene_center", (low + high) / 2, persistent=False)
        self.half_side = float((high - low).max()) / 2
        self.register_load_state_dict_pre_hook(_resize_fields)

    def density_fields(self) -> dict[str, DensityField]:
        """The field and the sampler's networks, by module name."""
        return {name: module for name, module in self.named_modules() if isinstance(module, DensityField)}

    def get_param_groups(self) -> dict[str, list[Any]]:
        """One group, named after its optimiser: torch's groups with the learning rates of the preset."""
        options = {"betas": (0.9, self.schedule.beta2), "eps": self.schedule.eps}
        groups = [
            group | options | {"peak": group["lr"]}
            for module in self.density_fields().values()
            for group in module.parameter_groups(learning_rate_factor=1.0)
        ]
        return {f"fields_{self.schedule.kind}": groups}

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Before every step, fields and sampler follow the progress of Latent Supervision."""
        steps = training_callback_attributes.pipeline.config.supervision.steps

        def prepare(step: int) -> None:
            progress = min(step / steps, 1.0) if steps else 1.0
            for module in self.density_fields().values():
                module.advance(progress)
            self.sampler.update(self.field, step=step, generator=torch.default_generator)

        where = [TrainingCallbackLocation.BEFORE_TRAIN_ITERATION]
        return [TrainingCallback(where_to_run=where, update_every_num_iters=1, func=prepare)]

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Tensor]:
        """Latents (R, C) as `rgb`, `accumulation` (R, 1) and `depth` (R, 1); in training the sampler's losses, too."""
        rays = Rays(
            origins=(ray_bundle.origins - self.scene_center) / self.half_side,
            directions=ray_bundle.directions,
            radii=ray_bundle.pixel_area.sqrt() / 2,
        )
        seen = self.sampler.render(
            self.field, rays, self.renderer.background,
            near=self.config.near_plane / self.half_side, far=float("inf"),
            generator=torch.default_generator if self.training else None,
        )  # fmt: skip
        outputs = {
            "rgb": seen.features,
            "accumulation": seen.opacity[:, None],
            "depth": self.half_side * seen.depth[:, None],
        }
        if seen.coarse is not None and self.training:
            outputs["rgb_coarse"] = seen.coarse
        if seen.loss is not None and self.training:
            outputs["sampler_loss"] = seen.loss
        return outputs

    def get_loss_dict(
        self, outputs: dict[str, Tensor], batch: dict[str, Any], metrics_dict: Any = None
    ) -> dict[str, Tensor]:
        """`rgb_loss` (and that of a coarse network) against latents, and what field and sampler add."""
        target = batch["image"].to(outputs["rgb"])
        losses = {"rgb_loss": latent_supervision_loss(outputs["rgb"], target)}
        if "rgb_coarse" in outputs:
            losses["rgb_loss_coarse"] = latent_supervision_loss(outputs["rgb_coarse"], target)
        if "sampler_loss" in outputs:
            losses["sampler_loss"] = outputs["sampler_loss"].mean()
        own = [module.regularisation() for module in self.density_fields().values()]
        return losses | {"regularisation": torch.stack(own).sum()}

    def get_image_metrics_and_images(self, outputs: Any, batch: Any) -> Any:
        """Not reached: `LatentModel` compares images."""
        raise NotImplementedError


def _resize_fields(module: Any, state: Mapping[str, Tensor], prefix: str, *_: Any) -> None:
    """Fields that change their shapes while they are fitted take those of the checkpoint."""
    for name, own in cast(FieldModel, module).density_fields().items():
        shapes = without_prefix(prefix + name, state)
        # Nerfstudio also loads what is not the model's, through the model.
        if shapes:
            own.resize_to(shapes)
