"""A latent NeRF (IG-AE Sec. 3.1, Eq. 1): a field rendered along rays through latent pixels, and a decoder.

Shape suffixes: B images, C channels, R rays, h, w size of the feature map.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentfields.cameras import Cameras, Rays
from latentfields.fields.field import Field, in_precision
from latentfields.latent_nerf.crops import Window
from latentfields.latent_nerf.latent_space import LatentSpace
from latentfields.latent_nerf.losses import latent_supervision_loss
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.rendering.contraction import CONTRACTED_RADIUS, field_positions
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import Sampler
from latentfields.scenes.reading import Bounds

RAYS_PER_CHUNK = 16_384
"""Rays rendered at a time: bounds the memory of their samples, whatever the size of the images."""
RAYS_PER_CHUNK_ON_CPU = 4096
"""The same on a processor: their samples then stay in its caches, which takes a quarter of the time off."""


def along_rays(cameras: Cameras, render: Callable[[Rays], Rendering]) -> Rendering:
    """Images of `cameras` by what renders rays, a bounded number of them at a time."""
    rays = cameras.rays().flatten()
    on_cpu = rays.origins.device.type == "cpu"
    chunks = rays.split(RAYS_PER_CHUNK_ON_CPU if on_cpu else RAYS_PER_CHUNK)
    return Rendering.joined([render(rays) for rays in chunks]).as_images(cameras)


class LatentNerf(SceneModel):
    """A scene whose F_theta is a field and a sampler of rays; each pixel is one ray, through its centre."""

    def __init__(
        self,
        field: Field,
        sampler: Sampler,
        *,
        space: LatentSpace,
        background: Tensor,
        near: float,
        far: float,
        bounds: Bounds = "object",
    ) -> None:
        """As `SceneModel`; `sampler` decides where along rays `field` is looked at, between `near` and `far`."""
        super().__init__(space, background, near=near, far=far, bounds=bounds)
        self.field = field
        self.sampler = sampler

    def render_rays(
        self,
        rays: Rays,
        *,
        generator: torch.Generator | None = None,
        precision: torch.dtype = torch.float32,
    ) -> Rendering:
        """Render rays (R,) on the model's device, in the field's space; `precision` is as for `render_pixels`."""
        shot = Shot(
            rays, self.background, self.near, self.far, generator=generator, contracted=self.contracted
        )
        return self.sampler.render(in_precision(self.field, precision), shot)

    @property
    def contracted(self) -> bool:
        """True when the field covers all space (`rendering.contraction`), otherwise [-1, 1]^3."""
        return self.bounds == "scene"

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) per unit length at points (P, 3) of the box [-1, 1]^3 in the normalised frame."""
        if not self.contracted:
            return self.field.density(points)
        # The box is so much smaller in the field's cube, and lengths with it.
        return self.field.density(field_positions(points)) / CONTRACTED_RADIUS

    @property
    def local_supervision(self) -> bool:
        """As `SceneModel.local_supervision`: squared errors."""
        return True

    def render_pixels(
        self,
        cameras: Cameras,
        generator: torch.Generator | None,
        window: Window | None = None,
        precision: torch.dtype = torch.float32,
    ) -> Rendering:
        """As `SceneModel.render_pixels`."""
        if window is not None:
            cameras = window.of(cameras)
        return along_rays(
            cameras, lambda rays: self.render_rays(rays, generator=generator, precision=precision)
        )

    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """Eq. 2's reconstructive term."""
        return latent_supervision_loss(rendered, targets)

    def before_step(self, *, step: int, generator: torch.Generator) -> None:
        """Let the sampler look at the field."""
        self.sampler.update(self.field, step=step, generator=generator)
