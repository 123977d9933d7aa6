"""A latent NeRF (IG-AE Sec. 3.1, Eq. 1): a field rendered along rays through the latent grid, and a decoder.

Shape suffixes: B images, C channels, R rays, h, w size of the feature grid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras, Rays
from latentfields.fields.field import Field
from latentfields.latent_nerf.losses import latent_supervision_loss
from latentfields.latent_nerf.normalizer import TanhNormalizer
from latentfields.latent_nerf.scene_model import SceneModel, View
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.rendering.renderer import Rendering
from latentfields.rendering.sampler import Sampler

RAYS_PER_CHUNK = 16_384


class LatentNerf(SceneModel):
    """A scene whose F_theta is a field and a sampler of rays; each pixel is one ray, through its centre."""

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
        """Rays are looked at between `near` and `far`; the rest is as for `SceneModel`."""
        super().__init__(
            autoencoder=autoencoder,
            background=background,
            learn_background=learn_background,
            normalizer=normalizer,
            projection=projection,
        )
        self.field = field
        self.sampler = sampler
        self.near, self.far = near, far

    def render_rays(self, rays: Rays, *, generator: torch.Generator | None = None) -> Rendering:
        """Render rays (R,) on the model's device, in the field's space."""
        return self.sampler.render(
            self.field, rays, self.background, near=self.near, far=self.far, generator=generator
        )

    def render_grid(self, grid: Cameras, generator: torch.Generator | None) -> View:
        """As `SceneModel.render_grid`."""
        rays = grid.rays().flatten()
        parts = [
            self.render_rays(rays[start : start + RAYS_PER_CHUNK], generator=generator)
            for start in range(0, len(rays), RAYS_PER_CHUNK)
        ]
        coarse = [p.coarse for p in parts if p.coarse is not None]
        losses = [p.loss for p in parts if p.loss is not None]

        def maps(values: list[Tensor]) -> Tensor:
            return torch.cat(values).view(len(grid), grid.height, grid.width, -1).permute(0, 3, 1, 2)

        return View(
            maps([p.features for p in parts]),
            maps([p.opacity for p in parts]),
            maps([p.depth for p in parts]),
            coarse=maps(coarse) if coarse else None,
            loss=torch.cat(losses).mean() if losses else None,
        )

    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """Eq. 2's reconstructive term."""
        return latent_supervision_loss(rendered, targets)

    def before_step(self, *, step: int, generator: torch.Generator) -> None:
        """Let the sampler look at the field."""
        self.sampler.update(self.field, step=step, generator=generator)
