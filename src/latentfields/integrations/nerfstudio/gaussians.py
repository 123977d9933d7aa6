"""This package's 3D Gaussians as a model of Nerfstudio's kind, with the presets of `latentfields fit`.

Nerfstudio's own Gaussians have three channels throughout; these are `LatentGaussians` without a decoder.

Shape suffixes: P points, B views, R latents of all views together, C latent channels, h, w latent grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.configs.base_config import InstantiateConfig
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackAttributes, TrainingCallbackLocation
from torch import Tensor

from latentfields.errors import InputError
from latentfields.fields.config import GaussiansConfig
from latentfields.fields.densification import DensificationName
from latentfields.fields.gaussians.field import GaussianField
from latentfields.fields.gaussians.initialisation import place
from latentfields.fields.gaussians.strategy import SplattedStep
from latentfields.integrations.nerfstudio.own_model import OwnModel, supervision_progress
from latentfields.integrations.nerfstudio.views import maps, pinhole_cameras, rows
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.latent_space import LatentSpace
from latentfields.latent_nerf.presets import PresetName, preset
from latentfields.rendering.config import SplattingConfig
from latentfields.rendering.rendering import Rendering
from latentfields.training.checkpoint import without_prefix


@dataclass
class GaussianModelConfig(InstantiateConfig):
    """latentfields' own 3D Gaussians."""

    _target: type = field(default_factory=lambda: GaussianModel)
    """target class to instantiate"""
    preset: PresetName = "paper"
    """number, learning rates and their schedule, as `latentfields fit --preset`"""
    densification: DensificationName = "gradient"
    """how Gaussians are added and removed, as `latentfields fit --densification`"""
    near_plane: float = 0.05
    """distance from a camera, along its axis, before which Gaussians are not seen"""
    far_plane: float = 4.0
    """depth that is shown where there is nothing"""


class GaussianModel(OwnModel):
    """Gaussians in Nerfstudio's scene box, splatted onto the latent grid: takes views where ray models take rays."""

    config: GaussianModelConfig

    def populate_modules(self) -> None:
        """A scene without any Gaussian: training places the first ones, or a checkpoint brings them."""
        super().populate_modules()
        settings = preset("gaussians", self.config.preset, densification=self.config.densification)
        assert isinstance(settings.field, GaussiansConfig)
        assert isinstance(settings.sampling, SplattingConfig)
        self.schedule = settings.field.optimizer
        background = self.renderer.background
        self.scene = LatentGaussians(
            GaussianField(settings.field, channels=len(background), head="linear"),
            settings.sampling,
            # The pipeline decodes, and here latents are what colours are elsewhere.
            space=LatentSpace(),
            # The renderer's very parameter, where it is learned.
            background=background,
            near=self.config.near_plane / self.half_side,
            far=self.config.far_plane / self.half_side,
        )
        self._seen: list[Rendering] = []

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        """As many Gaussians as in `state`, and what their strategy knows of them."""
        super().resize_to(state)
        self.scene.strategy.resize_to(without_prefix("scene.strategy", state))

    def get_training_callbacks(
        self, training_callback_attributes: TrainingCallbackAttributes
    ) -> list[TrainingCallback]:
        """Places Gaussians unless there are some; before and after every step, they follow the progress.

        Raises InputError for mixed precision.
        """
        scaler = training_callback_attributes.grad_scaler
        if scaler is not None and scaler.is_enabled():
            raise InputError("--mixed-precision", "is True; Gaussians are fitted in full precision only")
        if len(self.scene.field) == 0:
            self._place()
        steps = training_callback_attributes.pipeline.config.supervision.steps
        (group,) = self.get_param_groups()
        optimizer = training_callback_attributes.optimizers.optimizers[group]
        locations = {
            TrainingCallbackLocation.BEFORE_TRAIN_ITERATION: partial(self._before_step, steps),
            TrainingCallbackLocation.AFTER_TRAIN_ITERATION: partial(self._after_step, steps, optimizer),
        }
        return [
            TrainingCallback(where_to_run=[where], update_every_num_iters=1, func=func)
            for where, func in locations.items()
        ]

    def _place(self) -> None:
        """The data parser's sparse points, as many as are allowed, or random ones in the scene box."""
        options = self.scene.field.config
        points = self.kwargs["metadata"].get("points3D_xyz")
        if points is None or len(points) == 0:
            points = 2 * torch.rand(options.initial, 3) - 1
        else:
            chosen = torch.randperm(len(points))[: options.densification.most].sort().values
            points = (points[chosen].cpu().float() - self.scene_center.cpu()) / self.half_side
        place(self.scene.field, points.to(self.device))

    def _before_step(self, steps: int, step: int) -> None:
        self.scene.field.advance(supervision_progress(step, steps))

    def _after_step(self, steps: int, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Add and remove Gaussians, in the optimiser as well, after what it did for the views that were seen."""
        height, width = self._seen[0].features.shape[-2:]
        splats = [projected for seen in self._seen for projected in seen.splats]
        for seen, projected in zip(self._seen, splats, strict=True):
            # Strategies mean halves of the picture's size, and views of a step may differ in theirs.
            own_height, own_width = seen.features.shape[-2:]
            gradient = projected.means_2d.grad
            if gradient is not None:
                gradient *= gradient.new_tensor([own_width / width, own_height / height])
        splatted = SplattedStep(
            splats,
            width=width,
            height=height,
            value_range=self.scene.value_range,
            progress=supervision_progress(step, steps),
        )
        self.scene.strategy.after_step(
            self.scene.field, optimizer, splatted, generator=torch.default_generator
        )
        self._seen = []

    def _render(self, views: Cameras) -> list[Rendering]:
        """Every one of B views by itself, as sizes may differ."""
        cameras = pinhole_cameras(views, center=self.scene_center, scale=1 / self.half_side)
        return [self.scene.render_pixels(camera, None) for camera in cameras]

    def get_outputs(self, views: Cameras) -> dict[str, Tensor]:
        """Latents (R, C) of views on the latent grid as `rgb`, `accumulation` (R, 1) and `depth` (R, 1)."""
        seen = self._render(views)
        if self.training:
            self._seen = seen
        return self._outputs(seen)

    def _outputs(self, seen: Sequence[Rendering]) -> dict[str, Tensor]:
        return {
            "rgb": torch.cat([rows(part.features[0]) for part in seen]),
            "accumulation": torch.cat([rows(part.opacity[0]) for part in seen]),
            "depth": self.half_side * torch.cat([rows(part.depth[0]) for part in seen]),
        }

    @torch.no_grad()
    def get_outputs_for_camera(
        self, camera: Cameras, obb_box: OrientedBox | None = None
    ) -> dict[str, Tensor]:
        """As `get_outputs`, (h, w, .) for one view and on its device; `obb_box` has no effect."""
        size = int(camera.height), int(camera.width)
        outputs = self._outputs(self._render(camera.to(self.device)))
        return {name: values.view(*size, -1).to(camera.device) for name, values in outputs.items()}

    def get_metrics_dict(self, outputs: dict[str, Tensor], batch: dict[str, Any]) -> dict[str, Tensor]:
        """Count the Gaussians."""
        return {"gaussians": torch.tensor(float(len(self.scene.field)))}

    def get_loss_dict(
        self, outputs: dict[str, Tensor], batch: dict[str, Any], metrics_dict: Any = None
    ) -> dict[str, Tensor]:
        """`rgb_loss`, L1 and D-SSIM (LRF Eq. 10) against latents as a mean over views, and the strategy's own."""
        rendered = maps(outputs["rgb"], batch["latent_sizes"])
        targets = maps(batch["image"].to(outputs["rgb"]), batch["latent_sizes"])
        terms = [self.scene.supervision_loss(*pair) for pair in zip(rendered, targets, strict=True)]
        return {"rgb_loss": torch.stack(terms).mean(), "regularisation": self.scene.field.regularisation()}
