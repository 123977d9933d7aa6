"""Changes of latents that a decoder has to turn into the same changes of images (implicit equivariance).

EQ-VAE (arXiv 2502.09509) decodes latents that are scaled down and turned, and compares with the image changed in the
same way. It asks this of decoders alone, not of encoders: latents that shrink to nothing would satisfy these. Ours are,
beside, shifts by parts of a latent: what a field renders lies anywhere between the points of an encoder's grid.

Shape suffixes: B images, C latent channels, H, W image size, h, w latent size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentfields.igae.config import Equivariance

SMALLEST_SCALE = 0.25
"""Of a side, as in EQ-VAE."""
SMALLEST_IMAGE = 32
"""Pixels of a side: smaller images have too few scales for L_p."""


@dataclass(frozen=True)
class LatentTransform:
    """One change of latents, and the change of images that it stands for."""

    factor: int
    """Pixels per latent along one side."""
    turns: int = 0
    """Quarter turns."""
    side: int | None = None
    """Latents along one side that are left; None leaves as many as there are."""
    offset: tuple[int, int] = (0, 0)
    """Pixels, less than `factor`, that pictures are moved to the left and up; (0, 0) leaves their frame as it is."""

    def latents(self, latents: Tensor) -> Tensor:
        """The changed latents (B, C, h, w). Shifts are bilinear and cost the last row and column."""
        latents = torch.rot90(latents, self.turns, dims=(2, 3))
        if self.side is not None:
            latents = _resized(latents, self.side)
        if self.offset == (0, 0):
            return latents
        right, down = (pixels / self.factor for pixels in self.offset)
        rows = torch.lerp(latents[:, :, :-1], latents[:, :, 1:], down)
        return torch.lerp(rows[..., :-1], rows[..., 1:], right)

    def images(self, images: Tensor) -> Tensor:
        """The images (B, 3, H, W), changed in the same way."""
        images = torch.rot90(images, self.turns, dims=(2, 3))
        if self.side is not None:
            images = _resized(images, self.side * self.factor)
        if self.offset == (0, 0):
            return images
        left, top = self.offset
        height, width = (side - self.factor for side in images.shape[-2:])
        return images[..., top : top + height, left : left + width]


def drawn_transform(
    kind: Equivariance, *, factor: int, side: int, random: np.random.Generator
) -> LatentTransform:
    """A random change of latents of `side` x `side`, whose `factor` is that of the autoencoder."""
    if kind == "all":
        kind = "shift" if random.random() < 0.5 else "scale-rotation"
    if kind == "shift":
        # Not (0, 0), which is what the other steps train, unless there is nothing else.
        left, top = divmod(int(random.integers(min(1, factor - 1), factor**2)), factor)
        return LatentTransform(factor, offset=(left, top))
    smallest = min(side, max(round(SMALLEST_SCALE * side), -(-SMALLEST_IMAGE // factor)))
    return LatentTransform(
        factor, turns=int(random.integers(4)), side=int(random.integers(smallest, side + 1))
    )


def _resized(maps: Tensor, side: int) -> Tensor:
    if maps.shape[-1] == side:
        return maps
    return torch.nn.functional.interpolate(
        maps, size=(side, side), mode="bilinear", antialias=True, align_corners=False
    )
