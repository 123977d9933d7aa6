"""Latent Gaussians (LRF Sec. 4.2): a scene whose features are splatted onto latent pixels, and a decoder.

Shape suffixes: B images, C channels, h, w size of the feature map.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.fields.densification import GradientDensificationConfig
from latentfields.fields.gaussians.adaptive_control import AdaptiveControl
from latentfields.fields.gaussians.field import GaussianField
from latentfields.fields.gaussians.markov_chain import MarkovChain
from latentfields.fields.gaussians.strategy import SplattedStep, Strategy
from latentfields.latent_nerf.latent_space import LatentSpace
from latentfields.latent_nerf.losses import splatting_loss
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.measures.metrics import LATENT_RANGE
from latentfields.rendering.config import SplattingConfig
from latentfields.rendering.rendering import Rendering
from latentfields.rendering.splatting.gaussians import Gaussians
from latentfields.rendering.splatting.projection import project
from latentfields.rendering.splatting.rasterise import rasterise
from latentfields.scenes.reading import Bounds
from latentfields.training.checkpoint import without_prefix


class LatentGaussians(SceneModel):
    """A scene whose F_theta is a set of 3D Gaussians (Eqs. 8, 9)."""

    def __init__(
        self,
        field: GaussianField,
        splatting: SplattingConfig,
        *,
        space: LatentSpace,
        background: Tensor,
        near: float,
        far: float,
        bounds: Bounds = "object",
    ) -> None:
        """As `SceneModel`; Gaussians whose centres are nearer than `near` are not seen."""
        super().__init__(space, background, near=near, far=far, bounds=bounds)
        self.field = field
        self.splatting = splatting
        options = field.config.densification
        self.strategy: Strategy = (
            AdaptiveControl(options)
            if isinstance(options, GradientDensificationConfig)
            else MarkovChain(options)
        )

    def render_pixels(self, cameras: Cameras, generator: torch.Generator | None) -> Rendering:
        """As `SceneModel.render_pixels`; there is nothing to jitter."""
        gaussians = self.field.gaussians()
        each = (cameras[index : index + 1] for index in range(len(cameras)))
        return Rendering.joined([self._splat(gaussians, camera) for camera in each])

    def _splat(self, gaussians: Gaussians, camera: Cameras) -> Rendering:
        """Pixels of one camera."""
        options = self.splatting
        projected = project(
            gaussians, camera, near=self.near, blur=options.blur, antialiased=options.antialiased
        )
        # Densification asks how much the loss wants each centre to move in the image.
        if projected.means_2d.requires_grad:
            projected.means_2d.retain_grad()
        features = self.field.features(camera.centers[0])
        return rasterise(projected, features, self.background, camera, far=self.far)

    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """Eq. 10's L1 and D-SSIM."""
        weight = self.field.config.structure_weight
        return splatting_loss(rendered, targets, structure_weight=weight, data_range=self.value_range)

    @property
    def value_range(self) -> float:
        """Distance between the least and the largest value of the features."""
        return 1.0 if self.field.head == "sigmoid" else LATENT_RANGE

    def after_step(
        self,
        seen: Rendering,
        optimizer: torch.optim.Optimizer,
        *,
        progress: float,
        generator: torch.Generator,
    ) -> None:
        """Add and remove Gaussians."""
        k = self.space.subpixels
        height, width = seen.features.shape[-2:]
        step = SplattedStep(
            seen.splats, width=k * width, height=k * height, value_range=self.value_range, progress=progress
        )
        self.strategy.after_step(self.field, optimizer, step, generator=generator)

    def load_scene_state(self, tensors: Mapping[str, Tensor]) -> None:
        """As `SceneModel.load_scene_state`."""
        self.strategy.resize_to(without_prefix("strategy", tensors))
        super().load_scene_state(tensors)
