"""The space that a scene is fitted in: what its features mean as latents, as targets, and as images.

Shape suffixes: B images, C channels, H, W image size, h = H / factor, w = W / factor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.measures.metrics import LATENT_RANGE
from latentfields.rendering.rendering import Rendering

TANH_SCALE = 0.02
"""Factor of raw latents inside the tanh."""
TANH_EPSILON = 1e-6
"""Distance that squashed values keep from -1 and 1 when they are taken back, where atanh is infinite."""


class TanhNormalizer:
    """s = (tanh(0.02 z) + 1) / 2 of raw latents z, in [0, 1]; near zero it is linear, with a slope of 0.01.

    The code released with IG-AE fits fields to such values.
    """

    def normalize(self, latents: Tensor, autoencoder: Autoencoder) -> Tensor:
        """Squashed values in [0, 1] of the autoencoder's latents (B, C, h, w), normalised per channel."""
        return (torch.tanh(TANH_SCALE * autoencoder.raw(latents)) + 1) / 2

    def denormalize(self, squashed: Tensor, autoencoder: Autoencoder) -> Tensor:
        """Latents (B, C, h, w), normalised per channel, of squashed values. Values outside of [0, 1] are clamped."""
        bound = 1 - TANH_EPSILON
        raw = torch.atanh((2 * squashed - 1).clamp(-bound, bound)) / TANH_SCALE
        return autoencoder.normalized(raw)


class ExtentNormalizer:
    """s = z / 6 + 1/2 of normalised latents z: in [0, 1] where statistics bring a scene's extremes to -3 and 3.

    The code released with LRF fits Gaussians to such values, whose least and largest are those of the scene's views.
    """

    def normalize(self, latents: Tensor, autoencoder: Autoencoder) -> Tensor:
        """Values of latents (B, C, h, w), normalised per channel."""
        return latents / LATENT_RANGE + 0.5

    def denormalize(self, values: Tensor, autoencoder: Autoencoder) -> Tensor:
        """Latents (B, C, h, w), normalised per channel, of such values."""
        return (values - 0.5) * LATENT_RANGE


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """Latents of an autoencoder; without one, `LatentSpace()` is the space of colours, which need no decoding.

    Scene models hold one. It is no module: the networks in it are the model's, under the names that files know.
    """

    autoencoder: Autoencoder | None = None
    """Its decoder may be aligned to the scene; None: features are colours."""
    normalizer: TanhNormalizer | ExtentNormalizer | None = None
    """Brings the latents that a field is fitted to into [0, 1]; None leaves them at unit scale."""
    projection: SubpixelProjection | None = None
    """Turns finer renders into latents; None: latents are rendered as such, as the papers do."""

    @property
    def factor(self) -> int:
        """Pixels per feature along one side."""
        return 1 if self.autoencoder is None else self.autoencoder.factor

    @property
    def subpixels(self) -> int:
        """Rendered pixels per feature along one side."""
        return 1 if self.projection is None else self.projection.subpixels

    @property
    def reach(self) -> int:
        """Latents on each side of a latent whose renders it depends on."""
        return 0 if self.projection is None else self.projection.reach

    @torch.no_grad()
    def background(self, color: tuple[float, float, float]) -> Tensor:
        """The features (C,) of a constant background `color` in [0, 1], as a field would have to render it."""
        if self.autoencoder is None:
            return torch.tensor(color)
        return self._squashed(self.autoencoder.background_latent(color).view(1, -1, 1, 1)).flatten()

    @torch.no_grad()
    def targets(self, batches: Iterable[Tensor], *, posterior: torch.Generator | None = None) -> Tensor:
        """The features (B, C, h, w) to render for images in [0, 1] on the autoencoder's device.

        They come in batches (b, 3, H, W), a batch at a time in memory.

        Those of posterior means, or of one draw per image by the generator `posterior`.
        """
        assert self.autoencoder is not None
        if posterior is None:
            return self._squashed(torch.cat([self.autoencoder.encode(images) for images in batches]))
        draws = [self.autoencoder.sample(images, generator=posterior) for images in batches]
        return self._squashed(torch.cat(draws))

    def _squashed(self, latents: Tensor) -> Tensor:
        if self.normalizer is None or self.autoencoder is None:
            return latents
        return self.normalizer.normalize(latents, self.autoencoder)

    def latents(self, features: Tensor) -> Tensor:
        """Latents, normalised per channel, of rendered features (B, C, h, w); colours stay colours."""
        if self.autoencoder is None or self.normalizer is None:
            return features
        return self.normalizer.denormalize(features, self.autoencoder)

    def decode(self, features: Tensor) -> Tensor:
        """x~_p = D_psi(z~_p): images (B, 3, H, W), not clamped, of rendered features (B, C, h, w)."""
        return features if self.autoencoder is None else self.autoencoder.decode(self.latents(features))

    def projected(self, seen: Rendering) -> Rendering:
        """Images of features (B, C, h, w) from finer ones, `subpixels` times as wide and high."""
        if self.projection is None:
            return seen
        return replace(
            seen,
            features=self.projection(seen.features),
            opacity=torch.nn.functional.avg_pool2d(seen.opacity, self.subpixels),
            depth=torch.nn.functional.avg_pool2d(seen.depth, self.subpixels),
            coarse=None if seen.coarse is None else self.projection(seen.coarse),
        )
