"""A latent NeRF (IG-AE Sec. 3.1, Eq. 1): a field rendered on the latent grid, and a decoder.

In RGB space the same class renders pixels and decodes nothing. Shape suffixes: B images, C channels, H, W image size,
h = H / factor, w = W / factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras, Rays
from latentfields.fields.field import Field
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.options import SamplingOptions
from latentfields.rendering.renderer import Rendering, render_rays

RAYS_PER_CHUNK = 16_384


@dataclass(frozen=True)
class View:
    """Rendered views."""

    features: Tensor
    """(B, C, h, w) normalised latents, or colours in RGB space."""
    opacity: Tensor
    """(B, 1, h, w) in [0, 1]."""
    depth: Tensor
    """(B, 1, h, w) distance along the ray, in the normalised frame."""


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
        sampling: SamplingOptions,
        projection: SubpixelProjection | None,
    ) -> None:
        """`background` (C,) is what lies behind the scene, in the field's space; None as autoencoder means RGB.

        `projection` turns finer renders into latents; None renders latents with one ray each, as the paper does.
        """
        super().__init__()
        self.field = field
        self.autoencoder = autoencoder
        self.grid = DensityGrid(resolution=sampling.grid_resolution)
        self.near, self.far = near, far
        self.sampling = sampling
        self.projection = projection
        if learn_background:
            self.background = nn.Parameter(background.clone())
        else:
            self.register_buffer("background", background.clone())

    @property
    def factor(self) -> int:
        """Pixels per rendered feature along one side."""
        return self.autoencoder.factor if self.autoencoder is not None else 1

    def render_rays(self, rays: Rays, *, generator: torch.Generator | None = None) -> Rendering:
        """Render rays (R,) in the field's space."""
        return render_rays(
            self.field, self.grid, rays, self.background,
            near=self.near, far=self.far, options=self.sampling, generator=generator,
        )  # fmt: skip

    def render_features(self, cameras: Cameras, *, generator: torch.Generator | None = None) -> View:
        """z~_p = F_theta(p): render image-sized `cameras` on the feature grid.

        One ray through the centre of every latent, or `projection.subpixels`^2 rays and the projection.
        Differentiable; `generator` jitters the samples along rays.
        """
        k = 1 if self.projection is None else self.projection.subpixels
        grid = cameras.resized(
            width=k * cameras.width // self.factor, height=k * cameras.height // self.factor
        )
        rendering = self._render_grid(grid.rays().flatten(), generator)

        def maps(values: Tensor) -> Tensor:
            return values.view(len(grid), grid.height, grid.width, -1).permute(0, 3, 1, 2)

        features, opacity, depth = maps(rendering.features), maps(rendering.opacity), maps(rendering.depth)
        if self.projection is None:
            return View(features, opacity, depth)
        pool = torch.nn.functional.avg_pool2d
        return View(self.projection(features), pool(opacity, k), pool(depth, k))

    def _render_grid(self, rays: Rays, generator: torch.Generator | None) -> Rendering:
        parts = [
            self.render_rays(rays[start : start + RAYS_PER_CHUNK], generator=generator)
            for start in range(0, len(rays), RAYS_PER_CHUNK)
        ]
        return Rendering(
            torch.cat([p.features for p in parts]),
            torch.cat([p.opacity for p in parts]),
            torch.cat([p.depth for p in parts]),
        )

    def decode(self, features: Tensor) -> Tensor:
        """x~_p = D_psi(z~_p): images (B, 3, H, W), not clamped."""
        return features if self.autoencoder is None else self.autoencoder.decode(features)

    @torch.no_grad()
    def render(self, cameras: Cameras, *, batch_size: int = 8) -> tuple[Tensor, View]:
        """Decoded images (B, 3, H, W) in [0, 1] and what they were decoded from. Deterministic."""
        images, views = [], []
        for start in range(0, len(cameras), batch_size):
            view = self.render_features(cameras[start : start + batch_size])
            views.append(view)
            images.append(self.decode(view.features).clamp(0, 1))
        joined = View(
            torch.cat([v.features for v in views]),
            torch.cat([v.opacity for v in views]),
            torch.cat([v.depth for v in views]),
        )
        return torch.cat(images), joined

    def scene_state(self) -> dict[str, Tensor]:
        """Field, density grid and background, without the autoencoder."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("autoencoder.")}

    def load_scene_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore `scene_state`."""
        self.load_state_dict(
            dict(tensors) | {k: v for k, v in self.state_dict().items() if k.startswith("autoencoder.")}
        )
