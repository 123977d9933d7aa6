"""This package's own fields as a ray model of Nerfstudio's kind, with the presets of `latentfields fit`.

Shape suffixes: R rays, C latent channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.configs.base_config import InstantiateConfig
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.fields.config import GaussiansConfig, RayFieldName
from latentfields.fields.registry import new_field
from latentfields.integrations.nerfstudio.own_model import OwnModel, supervision_progress
from latentfields.latent_nerf.build import new_sampler
from latentfields.latent_nerf.losses import latent_supervision_loss
from latentfields.latent_nerf.presets import PresetName, preset
from latentfields.rendering.config import SplattingConfig
from latentfields.rendering.rendering import Shot


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


class FieldModel(OwnModel):
    """A field and its sampler in Nerfstudio's scene box; renders latents as it is."""

    config: FieldModelConfig

    def populate_modules(self) -> None:
        """Field and sampler."""
        super().populate_modules()
        settings = preset(self.config.field, self.config.preset)
        assert not isinstance(settings.field, GaussiansConfig)
        assert not isinstance(settings.sampling, SplattingConfig)
        self.schedule = settings.field.optimizer
        channels = len(self.renderer.background)
        self.field = new_field(settings.field, channels=channels, head="linear")
        self.sampler = new_sampler(settings.sampling, settings.field, channels, "linear")

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Before every step, fields and sampler follow the progress of Latent Supervision."""
        steps = training_callback_attributes.pipeline.config.supervision.steps

        def prepare(step: int) -> None:
            for module in self.representations().values():
                module.advance(supervision_progress(step, steps))
            self.sampler.update(self.field, step=step, generator=torch.default_generator)

        where = [TrainingCallbackLocation.BEFORE_TRAIN_ITERATION]
        return [TrainingCallback(where_to_run=where, update_every_num_iters=1, func=prepare)]

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Tensor]:
        """Latents (R, C) as `rgb`, `accumulation` (R, 1) and `depth` (R, 1); in training the sampler's losses, too."""
        rays = Rays(
            origins=(ray_bundle.origins - self.scene_center) / self.half_side,
            directions=ray_bundle.directions,
        )
        shot = Shot(
            rays,
            self.renderer.background,
            near=self.config.near_plane / self.half_side,
            far=float("inf"),
            generator=torch.default_generator if self.training else None,
        )
        seen = self.sampler.render(self.field, shot)
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
        own = [module.regularisation() for module in self.representations().values()]
        return losses | {"regularisation": torch.stack(own).sum()}
