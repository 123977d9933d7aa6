"""Pictures kept as bytes, on any device: a quarter of the memory that their colours take as numbers.

Shape suffixes: N pictures, H height, W width, B of them, R pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.scenes.resampling import composited

BATCH = 8
"""Pictures that are numbers at the same time."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Some of a scene's views."""

    views: Tensor
    """(N,) int64, where they are in what follows."""
    pixels: Tensor
    """uint8 (V, 3, H, W) with V views or more, not premultiplied by alpha."""
    alpha: Tensor | None
    """uint8 (V, 1, H, W), or None where all are opaque."""
    background: Tensor
    """(3,) float32 in [0, 1], what shows through."""

    def __len__(self) -> int:
        return len(self.views)

    def to(self, device: torch.device) -> Pictures:
        """The same pictures, and no others of their scene, on `device`."""
        if self.pixels.device == device:
            return self
        return Pictures(
            views=torch.arange(len(self), device=device),
            pixels=self.pixels[self.views].to(device),
            alpha=None if self.alpha is None else self.alpha[self.views].to(device),
            background=self.background.to(device),
        )

    def images(self, indices: Tensor, *, rows: slice = slice(None), columns: slice = slice(None)) -> Tensor:
        """Those of (B,) `indices` from 0 to N - 1 over the background: (B, 3, H, W) float32 in [0, 1].

        Of some `rows` and `columns` alone.
        """
        views = self.views[indices]
        colors = self.pixels[views, :, rows, columns].float() / 255
        if self.alpha is None:
            return colors
        return composited(colors, self.alpha[views, :, rows, columns].float() / 255, self.background)

    def batches(self, size: int = BATCH) -> Iterator[Tensor]:
        """All of them in order, (B, 3, H, W) as `images` has them, so many at a time."""
        for indices in torch.arange(len(self), device=self.views.device).split(size):
            yield self.images(indices)

    def colors(self, indices: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Colours (R, 3) in [0, 1] of single pixels over the background, each (R,) of its picture, row and column."""
        views = self.views[indices]
        colors = self.pixels[views, :, rows, columns].float() / 255
        if self.alpha is None:
            return colors
        alpha = self.alpha[views, :, rows, columns].float() / 255
        return colors * alpha + self.background * (1 - alpha)
