"""Latent Gaussians (LRF Sec. 4.2): a scene whose features are splatted onto latent pixels, and a decoder.

Shape suffixes: B images, N Gaussians, C channels, h, w size of the feature map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.fields.densification import GradientDensificationConfig
from latentfields.fields.field import Head
from latentfields.fields.gaussians.adaptive_control import AdaptiveControl
from latentfields.fields.gaussians.field import GaussianField
from latentfields.fields.gaussians.markov_chain import MarkovChain
from latentfields.fields.gaussians.strategy import SplattedStep, Strategy
from latentfields.latent_nerf.crops import Window
from latentfields.latent_nerf.latent_space import LatentSpace
from latentfields.latent_nerf.losses import splatting_loss
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.measures.metrics import LATENT_RANGE
from latentfields.rendering.config import SplattingConfig
from latentfields.rendering.rendering import Rendering
from latentfields.rendering.splatting.gaussians import Gaussians
from latentfields.rendering.splatting.projection import moved, project
from latentfields.rendering.splatting.rasterise import rasterise
from latentfields.rendering.splatting.smoothing import filter_variances, sampling_rates, smoothed
from latentfields.scenes.reading import Bounds
from latentfields.training.checkpoint import without_prefix

FILTER_EVERY = 100
"""Steps between updates of the 3D smoothing filter, as in the code of Mip-Splatting: Gaussians move slowly."""
LOWEST_SIDE = 128
"""Pixels of the longer side of the smallest views that fits begin with."""


class LatentGaussians(SceneModel):
    """A scene whose F_theta is a set of 3D Gaussians (Eqs. 8, 9)."""

    variances: Tensor
    """(N,) of the 3D smoothing filter; only with one. Trainings keep it up to date, and files have it."""

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
        self._training_cameras: Cameras | None = None
        if splatting.smoothing:
            self.register_buffer("variances", torch.zeros(len(field)))

    def begin_smoothing(self, cameras: Cameras) -> None:
        """Let the 3D smoothing filter, if there is one, follow the image-sized training `cameras` from now on."""
        self._training_cameras = self.finer(cameras)
        self._update_filter()

    def _update_filter(self) -> None:
        if not self.splatting.smoothing or self._training_cameras is None:
            return
        means = self.field.means.detach()
        rates = sampling_rates(means, self._training_cameras.to(means.device), near=self.near)
        self.variances = filter_variances(rates, smoothing=self.splatting.smoothing)

    def gaussians(self) -> Gaussians:
        """The Gaussians that are splatted: those of the field, smoothed where that is configured."""
        gaussians = self.field.gaussians()
        return smoothed(gaussians, self.variances) if self.splatting.smoothing else gaussians

    def render_pixels(
        self,
        cameras: Cameras,
        generator: torch.Generator | None,
        window: Window | None = None,
        precision: torch.dtype = torch.float32,
    ) -> Rendering:
        """As `SceneModel.render_pixels`; there is nothing to jitter, and there are no layers."""
        return self.splat(
            self.gaussians(), cameras, self.field.features, background=self.background, window=window
        )

    def splat(
        self,
        gaussians: Gaussians,
        cameras: Cameras,
        features: Callable[[Tensor], Tensor],
        *,
        background: Tensor,
        window: Window | None = None,
    ) -> Rendering:
        """Images of `cameras`, one pixel per feature: what `features` gives (N, C) for a camera's centre (3,).

        Of a `window` of their pixels alone, in which Gaussians have the shapes that they have in the whole image.
        """
        options, parts = self.splatting, []
        for index in range(len(cameras)):
            camera = cameras[index : index + 1]
            projected = project(
                gaussians, camera, near=self.near, blur=options.blur, antialiased=options.antialiased
            )
            # Densification asks how much the loss wants each centre to move in the image.
            if projected.means_2d.requires_grad:
                projected.means_2d.retain_grad()
            seen, splatted = features(camera.centers[0]), projected
            if window is not None:
                camera = window.of(camera)
                splatted = moved(projected, left=window.left, top=window.top, camera=camera)
                projected = replace(projected, radii=splatted.radii)
            part = rasterise(splatted, seen, background, camera, far=self.far)
            parts.append(replace(part, splats=(projected,)))
        return Rendering.joined(parts)

    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """Eq. 10's L1 and D-SSIM."""
        weight = self.field.config.structure_weight
        return splatting_loss(rendered, targets, structure_weight=weight, data_range=self.value_range)

    def reduction(self, progress: float, *, size: tuple[int, int]) -> int:
        """As `SceneModel.reduction`: pixels are what takes time, and what is learned first is seen in few of them.

        Colours alone: the mean of latents is not the latent of what all of them show, and there are few of them anyway.
        """
        if self.autoencoder is not None:
            return 1
        return reduction(progress, side=max(size), share=self.field.config.low_resolution_share)

    @property
    def value_range(self) -> float:
        """Distance between the least and the largest value of the features."""
        return value_range(self.field.head)

    def before_step(self, *, step: int, generator: torch.Generator) -> None:
        """Bring the 3D smoothing filter up to date every few steps."""
        if step % FILTER_EVERY == 0:
            self._update_filter()

    def after_step(
        self,
        seen: Rendering,
        optimizer: torch.optim.Optimizer,
        *,
        progress: float,
        generator: torch.Generator,
        others: Sequence[torch.optim.Optimizer] = (),
    ) -> None:
        """Add and remove Gaussians."""
        k = self.space.subpixels
        height, width = seen.features.shape[-2:]
        step = SplattedStep(
            seen.splats, width=k * width, height=k * height, value_range=self.value_range, progress=progress
        )
        refined = self.strategy.refinements_done
        self.strategy.after_step(self.field, optimizer, step, generator=generator, others=others)
        if self.strategy.refinements_done != refined:
            self._update_filter()

    def load_scene_state(self, tensors: Mapping[str, Tensor]) -> None:
        """As `SceneModel.load_scene_state`."""
        self.strategy.resize_to(without_prefix("strategy", tensors))
        if self.splatting.smoothing:
            self.variances = self.variances.new_zeros(len(tensors["field.means"]))
        super().load_scene_state(tensors)


def reduction(progress: float, *, side: int, share: float) -> int:
    """How many times smaller views are at `progress` in [0, 1], whose longer side is of `side` pixels.

    Powers of two, from the largest that leaves `LOWEST_SIDE` pixels down to two, each for an equal part of `share`.
    """
    halvings = max(side // LOWEST_SIDE, 1).bit_length() - 1
    if progress >= share:
        return 1
    return 1 << (halvings - int(halvings * progress / share))


def value_range(head: Head) -> float:
    """Distance between the least and the largest value of features with that head."""
    return 1.0 if head == "sigmoid" else LATENT_RANGE
