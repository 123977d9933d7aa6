"""A scene in the feature space of an autoencoder (IG-AE Sec. 3.1, Eq. 1): something that renders, and a decoder.

How features of cameras come about, along rays or by splatting, is a subclass's matter; in RGB space the same classes
render pixels and decode nothing. Shape suffixes: B images, C channels, H, W image size, h = H / factor, w = W / factor.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.fields.field import Representation
from latentfields.latent_nerf.normalizer import TanhNormalizer
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.rendering.splatting.projection import ProjectedGaussians
from latentfields.training.checkpoint import without_prefix


@dataclass(frozen=True)
class View:
    """Rendered views."""

    features: Tensor
    """(B, C, h, w) what the field is fitted to: latents, squashed by a normaliser if there is one, or colours."""
    opacity: Tensor
    """(B, 1, h, w) in [0, 1]."""
    depth: Tensor
    """(B, 1, h, w) distance along the ray, in the normalised frame."""
    coarse: Tensor | None = None
    """(B, C, h, w) as `features`, of a sampler's coarse network that is to be fitted as well, or None."""
    loss: Tensor | None = None
    """The sampler's own loss (a scalar, a mean over rays), weighted, or None."""
    splats: tuple[ProjectedGaussians, ...] = ()
    """What was splatted in each view; after a backward pass its `means_2d` have gradients. Empty for rays."""


class SceneModel(nn.Module, abc.ABC):
    """F_theta and D_psi of Eq. 1."""

    background: Tensor

    def __init__(
        self,
        *,
        autoencoder: Autoencoder | None,
        background: Tensor,
        learn_background: bool,
        normalizer: TanhNormalizer | None,
        projection: SubpixelProjection | None,
    ) -> None:
        """`background` (C,) is what lies behind the scene, in the field's space; None as autoencoder means RGB.

        `normalizer` squashes the latents that the field is fitted to; None leaves them at unit scale. `projection`
        turns finer renders into latents; None renders latents as such, as the papers do.
        """
        super().__init__()
        self.autoencoder = autoencoder
        self.normalizer = normalizer
        self.projection = projection
        if learn_background:
            self.background = nn.Parameter(background.clone())
        else:
            self.register_buffer("background", background.clone())

    @abc.abstractmethod
    def render_grid(self, grid: Cameras, generator: torch.Generator | None) -> View:
        """Render every pixel of `grid`, on the model's device, in the field's space; `generator` jitters."""

    @abc.abstractmethod
    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """What fits rendered features to their targets, both (B, C, h, w): a scalar."""

    def before_step(self, *, step: int, generator: torch.Generator) -> None:
        """Prepare for training step `step`, from 0; called before every one, also after a resume."""

    def after_step(
        self, seen: View, optimizer: torch.optim.Optimizer, *, progress: float, generator: torch.Generator
    ) -> None:
        """Follow up the optimiser's step on what was `seen`, at `progress` of Latent Supervision or of an RGB fit.

        During RGB Alignment progress is 1. Parameters may be replaced if those of the optimiser are, too.
        """

    @property
    def factor(self) -> int:
        """Pixels per rendered feature along one side."""
        return self.autoencoder.factor if self.autoencoder is not None else 1

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.background.device

    def representations(self) -> dict[str, Representation]:
        """Everything that is fitted to the scene with rates of its own, by module name."""
        return {name: module for name, module in self.named_modules() if isinstance(module, Representation)}

    def encode(self, images: Tensor) -> Tensor:
        """Latents (B, C, h, w), normalised per channel and on the CPU, of images (B, 3, H, W) in [0, 1]."""
        assert self.autoencoder is not None
        return self.autoencoder.encode_batches(images.to(self.device)).cpu()

    @torch.no_grad()
    def targets(self, images: Tensor) -> Tensor:
        """What the field is to render for images (B, 3, H, W) on the model's device, in the field's space."""
        if self.autoencoder is None:
            return images
        latents = self.autoencoder.encode_batches(images)
        return latents if self.normalizer is None else self.normalizer.normalize(latents, self.autoencoder)

    def latents(self, features: Tensor) -> Tensor:
        """Latents, normalised per channel, of rendered features (B, C, h, w); colours stay colours."""
        if self.autoencoder is None or self.normalizer is None:
            return features
        return self.normalizer.denormalize(features, self.autoencoder)

    def render_features(self, cameras: Cameras, *, generator: torch.Generator | None = None) -> View:
        """z~_p = F_theta(p): render image-sized `cameras` on the feature grid, on the model's device.

        One pixel of that grid for every latent, or `projection.subpixels`^2 of them and the projection.
        Differentiable; `generator` jitters the samples along rays.
        """
        k = 1 if self.projection is None else self.projection.subpixels
        grid = cameras.to(self.device).resized(
            width=k * cameras.width // self.factor, height=k * cameras.height // self.factor
        )
        view = self.render_grid(grid, generator)
        if self.projection is None:
            return view
        return replace(
            view,
            features=self.projection(view.features),
            opacity=torch.nn.functional.avg_pool2d(view.opacity, k),
            depth=torch.nn.functional.avg_pool2d(view.depth, k),
            coarse=None if view.coarse is None else self.projection(view.coarse),
        )

    def decode(self, features: Tensor) -> Tensor:
        """x~_p = D_psi(z~_p): images (B, 3, H, W), not clamped, of rendered features."""
        return features if self.autoencoder is None else self.autoencoder.decode(self.latents(features))

    @torch.no_grad()
    def render(self, cameras: Cameras, *, batch_size: int = 8) -> tuple[Tensor, View]:
        """Decoded images (B, 3, H, W) in [0, 1] and what they were decoded from, on the CPU. Deterministic.

        The view's features are latents normalised per channel, whatever the field is fitted to.
        """
        images, views = [], []
        for start in range(0, len(cameras), batch_size):
            view = self.render_features(cameras[start : start + batch_size])
            images.append(self.decode(view.features).clamp(0, 1))
            views.append(replace(view, features=self.latents(view.features)))
        joined = View(
            torch.cat([v.features for v in views]).cpu(),
            torch.cat([v.opacity for v in views]).cpu(),
            torch.cat([v.depth for v in views]).cpu(),
        )
        return torch.cat(images).cpu(), joined

    def scene_state(self) -> dict[str, Tensor]:
        """Field, sampler, projection and background, without the autoencoder."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("autoencoder.")}

    def load_scene_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore `scene_state`. Fields that change their shapes while they are fitted take those of `tensors`."""
        for name, representation in self.representations().items():
            representation.resize_to(without_prefix(name, tensors))
        self.load_state_dict(
            dict(tensors) | {k: v for k, v in self.state_dict().items() if k.startswith("autoencoder.")}
        )
