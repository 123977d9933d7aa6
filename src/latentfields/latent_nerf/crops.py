"""Parts of pictures that one step of a training looks at, so that its time does not grow with the pictures.

A part is rendered with the latents around it that its decoded pixels depend on: these pixels are those of the whole
picture then, and the loss of a part is the whole picture's there. Pictures are divided into equal parts, one of which a
step looks at: on average over steps, every pixel counts as it does in the loss of whole pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product

import torch

from latentfields.cameras import Cameras


@dataclass(frozen=True)
class Window:
    """A rectangle of latents, or of pixels."""

    left: int
    top: int
    right: int
    """First column that is no part of it."""
    bottom: int
    """First row that is no part of it."""

    @property
    def rows(self) -> slice:
        """Its rows."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Its columns."""
        return slice(self.left, self.right)

    def times(self, count: int) -> Window:
        """The same rectangle where everything is divided into `count` along each side: in pixels, of latents."""
        return Window(count * self.left, count * self.top, count * self.right, count * self.bottom)

    def moved(self, left: int, top: int) -> Window:
        """The same rectangle so much further to the right and down."""
        return Window(self.left + left, self.top + top, self.right + left, self.bottom + top)

    def within(self, other: Window) -> Window:
        """The same rectangle in columns and rows of another one that contains it."""
        return self.moved(-other.left, -other.top)

    def grown(self, margin: int, *, width: int, height: int) -> Window:
        """The rectangle with `margin` more on each side, as far as there is something, of `width` by `height`."""
        return Window(
            max(0, self.left - margin),
            max(0, self.top - margin),
            min(width, self.right + margin),
            min(height, self.bottom + margin),
        )

    def of(self, cameras: Cameras) -> Cameras:
        """The views of the rectangle alone."""
        return cameras.cropped(
            left=self.left, top=self.top, width=self.right - self.left, height=self.bottom - self.top
        )


@dataclass(frozen=True)
class Crop:
    """A part of a picture, in latents."""

    kept: Window
    """What enters the loss."""
    rendered: Window | None
    """What is rendered for it; None: the whole picture."""


@dataclass(frozen=True)
class Crops:
    """The parts of pictures of `width` by `height` latents."""

    width: int
    height: int
    side: int
    """Latents along a side of a part, at most; 0: the whole picture is the only part."""
    margin: int
    """Latents that are rendered on each side of a part."""

    @property
    def parts(self) -> list[Window]:
        """The parts: as few as can be, of equal size up to a latent."""
        columns, rows = _divided(self.width, self.side), _divided(self.height, self.side)
        return [Window(left, top, right, bottom) for (top, bottom), (left, right) in product(rows, columns)]

    def draw(self, generator: torch.Generator) -> Crop:
        """One of the parts, each as likely as the others. Where there is a single one, nothing is drawn."""
        parts = self.parts
        if len(parts) == 1:
            return Crop(parts[0], None)
        kept = parts[int(torch.randint(len(parts), (), generator=generator))]
        return Crop(kept, kept.grown(self.margin, width=self.width, height=self.height))


def _divided(length: int, side: int) -> list[tuple[int, int]]:
    """Starts and ends of the fewest parts of `length` that are no longer than `side`."""
    count = math.ceil(length / side) if side else 1
    return list(pairwise(index * length // count for index in range(count + 1)))
