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
        pixel_samples: int,
    ) -> None:
        """`background` (C,) is what lies behind the scene, in the field's space; None as autoencoder means RGB."""
        super().__init__()
        self.field = field
        self.autoencoder = autoencoder
        self.grid = DensityGrid(resolution=sampling.grid_resolution)
        self.near, self.far = near, far
        self.sampling = sampling
        self.pixel_samples = pixel_samples
        self.jit = False
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

        Every feature is the mean over `pixel_samples`^2 rays spread over its area. Differentiable; `generator`
        jitters the samples along rays.
        """
        small = cameras.resized(width=cameras.width // self.factor, height=cameras.height // self.factor)
        shape = (len(small), small.height, small.width)
        parts = [
            self._render_grid(small.rays(offsets=offset).flatten(), generator)
            for offset in self._offsets(small, generator if self.jit else None)
        ]
        features = torch.stack([part.features for part in parts]).mean(0)
        opacity = torch.stack([part.opacity for part in parts]).mean(0)
        depth = torch.stack([part.depth for part in parts]).mean(0)
        return View(
            features.view(*shape, -1).permute(0, 3, 1, 2),
            opacity.view(*shape)[:, None],
            depth.view(*shape)[:, None],
        )

    def _offsets(self, cameras: Cameras, generator: torch.Generator | None) -> list[Tensor]:
        count = self.pixel_samples
        device = cameras.focal.device
        cells = torch.arange(count, device=device, dtype=torch.float32)
        corners = [torch.stack([x, y]) for y in cells for x in cells]
        if generator is None:
            return [(corner + 0.5) / count for corner in corners]
        shape = (len(cameras), cameras.height, cameras.width, 2)
        return [(corner + torch.rand(shape, generator=generator).to(device)) / count for corner in corners]

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
