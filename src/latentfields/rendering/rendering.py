"""The request for pixels along rays, and the pixels: the two values that travel between scenes and renderers.

Shape suffixes: R rays, C channels, B images of h x w pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from latentfields.cameras import Cameras, Rays
from latentfields.devices import upload
from latentfields.rendering.spans import BoxSpan, ContractedSpan, Span

if TYPE_CHECKING:
    from latentfields.rendering.splatting.projection import ProjectedGaussians


@dataclass(frozen=True)
class Shot:
    """Everything about a render that is not the field: what a `Sampler` is asked for."""

    rays: Rays
    """R rays in the scene's normalised frame, directions of unit length."""
    background: Tensor
    """(C,) what lies behind the scene, in the field's space."""
    near: float
    """Distance along the rays before which nothing is looked at."""
    far: float
    """Distance along the rays behind which nothing is looked at; may be infinite, as the box ends rays, too."""
    generator: torch.Generator | None = None
    """Jitters the samples (training); None is deterministic (evaluation)."""
    contracted: bool = False
    """The field covers all space, contracted into its cube (`rendering.contraction`); otherwise [-1, 1]^3 alone."""

    def __getitem__(self, index: Tensor | slice) -> Shot:
        """Select rays."""
        return replace(self, rays=self.rays[index])

    def span(self) -> Span:
        """The parts of the rays that the field is looked at on: within [near, far], and in the box if it has one."""
        if self.contracted:
            return ContractedSpan(self.rays, near=self.near, far=self.far)
        return BoxSpan.of(self.rays, near=self.near, far=self.far)

    def jitter(self, count: int) -> Tensor | None:
        """Numbers (R, count) in [-0.5, 0.5), or None without a generator.

        They are drawn on the CPU, so that they do not depend on the device.
        """
        if self.generator is None:
            return None
        drawn = torch.rand(len(self.rays), count, generator=self.generator) - 0.5
        return upload(drawn, self.rays.origins.device)


@dataclass(frozen=True)
class Rendering:
    """Pixels of a scene: of R rays, or of B images.

    A sampler returns one value per ray; scenes, which are asked for what cameras see, return images (`as_images`).
    """

    features: Tensor
    """(R, C), or (B, C, h, w): latents or colours, composited over the background."""
    opacity: Tensor
    """(R,), or (B, 1, h, w), in [0, 1]."""
    depth: Tensor
    """(R,), or (B, 1, h, w): expected distance along the ray, in the normalised frame; where nothing was hit, the end
    of what was looked at."""
    coarse: Tensor | None = None
    """As `features`, of a sampler's coarse network that is to be fitted to the same targets; None without one."""
    loss: Tensor | None = None
    """As `opacity`, one value per ray: the sampler's own loss, weighted; None without one."""
    splats: tuple[ProjectedGaussians, ...] = ()
    """Splatted in each of the B images; after a backward pass their `means_2d` have gradients. Empty for rays."""

    @classmethod
    def joined(cls, parts: Sequence[Rendering]) -> Rendering:
        """All parts, in order: one rendering of all their rays, or of all their images. All are of one kind."""
        coarse = [part.coarse for part in parts if part.coarse is not None]
        losses = [part.loss for part in parts if part.loss is not None]
        return cls(
            features=torch.cat([part.features for part in parts]),
            opacity=torch.cat([part.opacity for part in parts]),
            depth=torch.cat([part.depth for part in parts]),
            coarse=torch.cat(coarse) if coarse else None,
            loss=torch.cat(losses) if losses else None,
            splats=tuple(projected for part in parts for projected in part.splats),
        )

    def cpu(self) -> Rendering:
        """Features, opacity and depth on the CPU, without what only a training needs."""
        return Rendering(self.features.cpu(), self.opacity.cpu(), self.depth.cpu())

    def averaged(self, count: int) -> Rendering:
        """Images whose pixels are the means of `count` x `count` of these."""
        return self if count == 1 else self._changed(lambda values: avg_pool2d(values, count))

    def as_images(self, cameras: Cameras) -> Rendering:
        """The pixels of the rays of B `cameras`, in the order of `Cameras.rays`, as images."""
        shape = (len(cameras), cameras.height, cameras.width, -1)
        return self._changed(lambda values: values.view(*shape).permute(0, 3, 1, 2))

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Rendering:
        """The same with all values changed, without splats."""
        return Rendering(
            features=change(self.features),
            opacity=change(self.opacity),
            depth=change(self.depth),
            coarse=None if self.coarse is None else change(self.coarse),
            loss=None if self.loss is None else change(self.loss),
        )
