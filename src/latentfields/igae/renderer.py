"""R_T of Eq. 5: one renderer for all latent scenes, with a shared MLP.

Shape suffixes: V views, C latent channels, h, w latent size, P points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from latentfields.cameras import Cameras
from latentfields.fields.triplane import TriPlaneHead
from latentfields.igae.config import LatentScenesConfig
from latentfields.igae.scenes import ActiveScene
from latentfields.rendering.kernels.plane_lookup import plane_lookup
from latentfields.rendering.renderer import render_rays


@dataclass(frozen=True)
class RenderedLatents:
    """Rendered views of latent scenes."""

    latents: Tensor
    """z~ (V, C, h, w)."""
    opacity: Tensor
    """(V, 1, h, w) in [0, 1]."""
    depth: Tensor
    """(V, 1, h, w) distance along the ray, in the scene's normalised frame."""

    @classmethod
    def joined(cls, parts: Sequence[RenderedLatents]) -> RenderedLatents:
        """The views of all parts, in order."""
        return cls(
            torch.cat([part.latents for part in parts]),
            torch.cat([part.opacity for part in parts]),
            torch.cat([part.depth for part in parts]),
        )


@dataclass(frozen=True)
class SharedHeadField:
    """One scene's planes seen through the shared MLP."""

    planes: Tensor
    """(3, K, K, F)."""
    head: TriPlaneHead
    """The MLP of all scenes."""

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3)."""
        return self.head.density(plane_lookup(self.planes, points))

    def __call__(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and latents (P, C) at points (P, 3) seen along unit directions (P, 3)."""
        out: tuple[Tensor, Tensor] = self.head(plane_lookup(self.planes, points), directions)
        return out


class TriPlaneRenderer(nn.Module):
    """Renders latent scenes on the latent grid."""

    def __init__(self, config: LatentScenesConfig, *, channels: int) -> None:
        """`channels` is the number of latent channels."""
        super().__init__()
        self.config = config
        self.head = TriPlaneHead(config.triplane, channels, "linear")

    def render(
        self,
        scene: ActiveScene,
        cameras: Cameras,
        *,
        background: Tensor,
        near: float,
        far: float,
        generator: torch.Generator | None,
    ) -> RenderedLatents:
        """A scene through V cameras of h x w latent pixels, over `background` (C,).

        Differentiable in planes, MLP and background. `generator` jitters the samples along rays; None is
        deterministic. Every latent pixel is the mean of `pixel_samples`^2 rays spread evenly over its area.
        """
        field = SharedHeadField(scene.planes, self.head)
        count = self.config.pixel_samples
        parts = []
        for row in range(count):
            for column in range(count):
                offset = cameras.focal.new_tensor([(column + 0.5) / count, (row + 0.5) / count])
                rays = cameras.rays(offsets=offset).flatten()
                parts.append(
                    render_rays(
                        field,
                        scene.grid,
                        rays,
                        background,
                        near=near,
                        far=far,
                        options=self.config.sampling,
                        generator=generator,
                    )
                )

        def mean_map(values: Sequence[Tensor]) -> Tensor:
            shape = (len(cameras), cameras.height, cameras.width, -1)
            return torch.stack([*values]).mean(0).view(shape).permute(0, 3, 1, 2)

        return RenderedLatents(
            mean_map([part.features for part in parts]),
            mean_map([part.opacity for part in parts]),
            mean_map([part.depth for part in parts]),
        )

    def update_grid(self, scene: ActiveScene, *, generator: torch.Generator) -> None:
        """Look at the scene's densities again, if its number of visits says that it is time."""
        if share := self.config.sampling.updated_share(scene.visits):
            density = SharedHeadField(scene.planes.detach(), self.head).density
            scene.grid.update(density, share=share, generator=generator)
