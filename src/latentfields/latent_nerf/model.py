"""A latent NeRF (IG-AE Sec. 3.1, Eq. 1): a field rendered on the latent grid, and a decoder.

In RGB space the same class renders pixels and decodes nothing. Shape suffixes: B images, C channels, H, W image size,
h = H / factor, w = W / factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras, Rays
from latentfields.fields.field import DensityField, Field
from latentfields.latent_nerf.normalizer import TanhNormalizer
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.rendering.renderer import Rendering
from latentfields.rendering.sampler import Sampler
from latentfields.training.checkpoint import without_prefix

RAYS_PER_CHUNK = 16_384


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


class LatentNerf(nn.Module):
    """F_theta and D_psi of Eq. 1."""

    background: Tensor

    def __init__(
        self,
        field: Field,
        *,
        autoencoder: Autoencoder | None,
        background: Tensor,
        learn_background: bool,
        near: float,
        far: float,
        sampler: Sampler,
        normalizer: TanhNormalizer | None,
        projection: SubpixelProjection | None,
    ) -> None:
        """`background` (C,) is what lies behind the scene, in the field's space; None as autoencoder means RGB.

        `normalizer` squashes the latents that the field is fitted to; None leaves them at unit scale. `projection`
        turns finer renders into latents; None renders latents with one ray each, as the paper does.
        """
        super().__init__()
        self.field = field
        self.autoencoder = autoencoder
        self.sampler = sampler
        self.near, self.far = near, far
        self.normalizer = normalizer
        self.projection = projection
        if learn_background:
            self.background = nn.Parameter(background.clone())
        else:
            self.register_buffer("background", background.clone())

    @property
    def factor(self) -> int:
        """Pixels per rendered feature along one side."""
        return self.autoencoder.factor if self.autoencoder is not None else 1

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.background.device

    def density_fields(self) -> dict[str, DensityField]:
        """Everything that is fitted as a field: the field itself and the sampler's networks, by module name."""
        return {name: module for name, module in self.named_modules() if isinstance(module, DensityField)}

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

    def render_rays(self, rays: Rays, *, generator: torch.Generator | None = None) -> Rendering:
        """Render rays (R,) on the model's device, in the field's space."""
        return self.sampler.render(
            self.field, rays, self.background, near=self.near, far=self.far, generator=generator
        )

    def render_features(self, cameras: Cameras, *, generator: torch.Generator | None = None) -> View:
        """z~_p = F_theta(p): render image-sized `cameras` on the feature grid, on the model's device.

        One ray through the centre of every latent, or `projection.subpixels`^2 rays and the projection.
        Differentiable; `generator` jitters the samples along rays.
        """
        k = 1 if self.projection is None else self.projection.subpixels
        grid = cameras.to(self.device).resized(
            width=k * cameras.width // self.factor, height=k * cameras.height // self.factor
        )
        rendering = self._render_grid(grid.rays().flatten(), generator)

        def maps(values: Tensor) -> Tensor:
            return values.view(len(grid), grid.height, grid.width, -1).permute(0, 3, 1, 2)

        def features(values: Tensor) -> Tensor:
            return maps(values) if self.projection is None else self.projection(maps(values))

        def pooled(values: Tensor) -> Tensor:
            return torch.nn.functional.avg_pool2d(maps(values), k)

        return View(
            features(rendering.features),
            pooled(rendering.opacity),
            pooled(rendering.depth),
            coarse=None if rendering.coarse is None else features(rendering.coarse),
            loss=None if rendering.loss is None else rendering.loss.mean(),
        )

    def _render_grid(self, rays: Rays, generator: torch.Generator | None) -> Rendering:
        parts = [
            self.render_rays(rays[start : start + RAYS_PER_CHUNK], generator=generator)
            for start in range(0, len(rays), RAYS_PER_CHUNK)
        ]
        coarse = [p.coarse for p in parts if p.coarse is not None]
        losses = [p.loss for p in parts if p.loss is not None]
        return Rendering(
            torch.cat([p.features for p in parts]),
            torch.cat([p.opacity for p in parts]),
            torch.cat([p.depth for p in parts]),
            coarse=torch.cat(coarse) if coarse else None,
            loss=torch.cat(losses) if losses else None,
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
        for name, field in self.density_fields().items():
            field.resize_to(without_prefix(name, tensors))
        self.load_state_dict(
            dict(tensors) | {k: v for k, v in self.state_dict().items() if k.startswith("autoencoder.")}
        )
