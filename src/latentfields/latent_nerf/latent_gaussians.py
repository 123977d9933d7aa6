"""Latent Gaussians (LRF Sec. 4.2): a scene whose features are splatted onto the latent grid, and a decoder.

Shape suffixes: B images, C channels, h, w size of the feature grid.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.fields.densification import GradientDensificationConfig
from latentfields.fields.gaussians.adaptive_control import AdaptiveControl
from latentfields.fields.gaussians.field import GaussianField
from latentfields.fields.gaussians.markov_chain import MarkovChain
from latentfields.fields.gaussians.strategy import SplattedStep, Strategy
from latentfields.latent_nerf.losses import splatting_loss
from latentfields.latent_nerf.normalizer import TanhNormalizer
from latentfields.latent_nerf.scene_model import SceneModel, View
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.measures.metrics import LATENT_RANGE
from latentfields.rendering.config import SplattingConfig
from latentfields.rendering.splatting.projection import project
from latentfields.rendering.splatting.rasterise import rasterise
from latentfields.training.checkpoint import without_prefix


class LatentGaussians(SceneModel):
    """A scene whose F_theta is a set of 3D Gaussians (Eqs. 8, 9)."""

    def __init__(
        self,
        field: GaussianField,
        *,
        autoencoder: Autoencoder | None,
        background: Tensor,
        learn_background: bool,
        near: float,
        far: float,
        splatting: SplattingConfig,
        normalizer: TanhNormalizer | None,
        projection: SubpixelProjection | None,
    ) -> None:
        """Gaussians whose centres are nearer than `near` are not seen; where nothing is, the depth is `far`."""
        super().__init__(
            autoencoder=autoencoder,
            background=background,
            learn_background=learn_background,
            normalizer=normalizer,
            projection=projection,
        )
        self.field = field
        self.splatting = splatting
        self.near, self.far = near, far
        options = field.config.densification
        self.strategy: Strategy = (
            AdaptiveControl(options)
            if isinstance(options, GradientDensificationConfig)
            else MarkovChain(options)
        )

    def render_grid(self, grid: Cameras, generator: torch.Generator | None) -> View:
        """As `SceneModel.render_grid`; there is nothing to jitter."""
        gaussians = self.field.gaussians()
        features, opacities, depths, splats = [], [], [], []
        for index in range(len(grid)):
            camera = grid[index : index + 1]
            projected = project(
                gaussians,
                camera,
                near=self.near,
                blur=self.splatting.blur,
                antialiased=self.splatting.antialiased,
            )
            if projected.means_2d.requires_grad:
                projected.means_2d.retain_grad()
            seen = rasterise(
                projected,
                self.field.features(camera.centers[0]),
                self.background,
                width=grid.width,
                height=grid.height,
            )
            features.append(seen.features)
            opacities.append(seen.opacity)
            depths.append(self._along_rays(seen.depth, seen.opacity, camera))
            splats.append(projected)
        return View(torch.stack(features), torch.stack(opacities), torch.stack(depths), splats=tuple(splats))

    def _along_rays(self, depth: Tensor, opacity: Tensor, camera: Cameras) -> Tensor:
        """Depths (1, h, w) along the viewing axis as distances along the rays, what is transparent being `far`."""
        cosines = (camera.rays().directions * camera.forward[:, None, None]).sum(dim=-1)
        return opacity * depth / cosines + (1 - opacity) * self.far

    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """Eq. 10's L1 and D-SSIM."""
        weight = self.field.config.structure_weight
        return splatting_loss(rendered, targets, structure_weight=weight, data_range=self.value_range)

    @property
    def value_range(self) -> float:
        """Distance between the least and the largest value of the features."""
        return 1.0 if self.field.head == "sigmoid" else LATENT_RANGE

    def after_step(
        self, seen: View, optimizer: torch.optim.Optimizer, *, progress: float, generator: torch.Generator
    ) -> None:
        """Add and remove Gaussians."""
        k = 1 if self.projection is None else self.projection.subpixels
        height, width = seen.features.shape[-2:]
        step = SplattedStep(
            seen.splats, width=k * width, height=k * height, value_range=self.value_range, progress=progress
        )
        self.strategy.after_step(self.field, optimizer, step, generator=generator)

    def load_scene_state(self, tensors: Mapping[str, Tensor]) -> None:
        """As `SceneModel.load_scene_state`."""
        self.strategy.resize_to(without_prefix("strategy", tensors))
        super().load_scene_state(tensors)
