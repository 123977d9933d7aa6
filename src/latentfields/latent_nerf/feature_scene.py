"""A scene of colours that carries latents as well: one geometry, two sets of values (the space `both`).

Colours are a whole scene of their own, as a fit in RGB space makes it, rendered at the pixels of the images. Latents
are rendered on their own, coarser grid from the same geometry: along rays, a second field gives the values and the
densities stay those of the colours; Gaussians have a second set of features (Zhou et al. 2024, Feature 3DGS; for NeRFs,
Kobayashi et al. 2022). How much latents may move what they share with colours is an option.

Shape suffixes: B images, C latent channels, P points, N Gaussians, h, w size of the latents.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latentfields.cameras import Cameras, Rays
from latentfields.fields.field import Field, Representation, in_precision
from latentfields.fields.gaussians.field import GaussianValues
from latentfields.latent_nerf.crops import Window
from latentfields.latent_nerf.latent_gaussians import LatentGaussians, value_range
from latentfields.latent_nerf.latent_space import LatentSpace
from latentfields.latent_nerf.losses import latent_supervision_loss, splatting_loss
from latentfields.latent_nerf.model import LatentNerf, along_rays
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.rendering.hierarchical import HierarchicalSampler
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import Density, RadianceField, Sampler
from latentfields.rendering.splatting.gaussians import Gaussians
from latentfields.training.checkpoint import without_prefix

COLORS = "colors"


class FeatureScene(SceneModel):
    """F_theta and D_psi of Eq. 1, with the geometry of the scene `colors`."""

    colors: SceneModel
    """What is seen by the eye, in RGB space."""
    values: Representation
    """What gives the latents."""

    def __init__(
        self, colors: SceneModel, *, space: LatentSpace, background: Tensor, geometry_weight: float
    ) -> None:
        """`colors` is a scene in RGB space; `geometry_weight` multiplies what latents' losses want of its geometry."""
        super().__init__(space, background, near=colors.near, far=colors.far, bounds=colors.bounds)
        self.colors = colors
        self.geometry_weight = geometry_weight

    @property
    def pictures(self) -> SceneModel:
        """The colours."""
        return self.colors

    def representations(self) -> dict[str, Representation]:
        """What is fitted for the latents alone: colours, and the geometry with them, are fitted as `colors`."""
        found = super().representations()
        return {name: part for name, part in found.items() if not name.startswith(f"{COLORS}.")}

    def load_scene_state(self, tensors: Mapping[str, Tensor]) -> None:
        """As `SceneModel.load_scene_state`, of both."""
        self.colors.load_scene_state(without_prefix(COLORS, tensors))
        super().load_scene_state(tensors)


class FeatureNerf(FeatureScene):
    """Values of a second field at the densities of the colours' field."""

    colors: LatentNerf
    values: Field

    def __init__(
        self,
        colors: LatentNerf,
        values: Field,
        *,
        space: LatentSpace,
        background: Tensor,
        geometry_weight: float,
    ) -> None:
        """As `FeatureScene`; of `values`, the densities are not used."""
        super().__init__(colors, space=space, background=background, geometry_weight=geometry_weight)
        self.values = values

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
        sampler = _of_features(self.colors.sampler)
        field = CarriedFeatures(
            in_precision(self.colors.field, precision),
            in_precision(self.values, precision),
            geometry_weight=self.geometry_weight,
        )

        def render(rays: Rays) -> Rendering:
            shot = Shot(
                rays,
                self.background,
                self.near,
                self.far,
                generator=generator,
                contracted=self.colors.contracted,
            )
            return sampler.render(field, shot)

        # What samplers learn, they learn from the colours.
        return replace(along_rays(cameras, render), loss=None)

    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """Eq. 2's reconstructive term."""
        return latent_supervision_loss(rendered, targets)


class FeatureGaussians(FeatureScene):
    """A second set of features of the colours' Gaussians, which are added and removed as colours want it."""

    colors: LatentGaussians
    values: GaussianValues

    def __init__(
        self,
        colors: LatentGaussians,
        values: GaussianValues,
        *,
        space: LatentSpace,
        background: Tensor,
        geometry_weight: float,
    ) -> None:
        """As `FeatureScene`; from here on, `values` follow the rows of the colours' Gaussians."""
        super().__init__(colors, space=space, background=background, geometry_weight=geometry_weight)
        self.values = values
        colors.field.followers = (values,)

    def render_pixels(
        self,
        cameras: Cameras,
        generator: torch.Generator | None,
        window: Window | None = None,
        precision: torch.dtype = torch.float32,
    ) -> Rendering:
        """As `SceneModel.render_pixels`; there is nothing to jitter, and there are no layers."""
        shapes = self.colors.gaussians()
        weighed = {name: scaled_gradient(value, self.geometry_weight) for name, value in vars(shapes).items()}
        gaussians = Gaussians(**weighed)

        def features(center: Tensor) -> Tensor:
            return self.values.features(gaussians.means - center)

        return self.colors.splat(gaussians, cameras, features, background=self.background, window=window)

    def load_scene_state(self, tensors: Mapping[str, Tensor]) -> None:
        """As `SceneModel.load_scene_state`. Raises RuntimeError where not every Gaussian has its latents."""
        gaussians, latents = (len(tensors[name]) for name in ("colors.field.means", "values.features_dc"))
        if gaussians != latents:
            raise RuntimeError(f"{gaussians} Gaussians with latents of {latents}")
        super().load_scene_state(tensors)

    def supervision_loss(self, rendered: Tensor, targets: Tensor) -> Tensor:
        """Eq. 10's L1 and D-SSIM."""
        values = self.values
        return splatting_loss(
            rendered,
            targets,
            structure_weight=values.config.structure_weight,
            data_range=value_range(values.head),
        )


class CarriedFeatures:
    """The features of one field at the densities of another: a `RadianceField`."""

    def __init__(self, geometry: Density, values: RadianceField, *, geometry_weight: float) -> None:
        self._geometry, self._values, self._weight = geometry, values, geometry_weight

    def density(self, points: Tensor) -> Tensor:
        """Density (P,) at points (P, 3), whose gradient is multiplied by the weight."""
        if self._weight == 0:
            with torch.no_grad():
                return self._geometry.density(points)
        return scaled_gradient(self._geometry.density(points), self._weight)

    def __call__(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (P,) and features (P, C) at points (P, 3) seen along unit directions (P, 3)."""
        return self.density(points), self._values(points, directions)[1]


def _of_features(sampler: Sampler) -> Sampler:
    """The sampler of colours for features: a coarse network of colours has none, but densities tell where to look."""
    if isinstance(sampler, HierarchicalSampler) and sampler.coarse is not None:
        return HierarchicalSampler(sampler.options, None)
    return sampler


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.weight * gradients[0], None


def scaled_gradient(values: Tensor, weight: float) -> Tensor:
    """The same values, with `weight` times their gradient; none at all for 0."""
    if weight == 0:
        return values.detach()
    out: Tensor = _ScaledGradient.apply(values, weight)  # type: ignore[no-untyped-call]
    return out
