"""`Scene`: posed images of one static scene, normalised once, with named splits.

Shape suffixes: N images, H height, W width, P points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.scenes.pictures import Pictures
from latentfields.scenes.reading import Bounds, Reading, SceneKind
from latentfields.scenes.resampling import resize


@dataclass(frozen=True)
class Scene:
    """Posed images in the frame in which fields are fitted: what matters most lies in [-1, 1]^3.

    Pixels stay 8-bit in memory; `images` converts the views that are asked for.
    """

    name: str
    """Short name, for reports."""
    source: str
    """The folder it was read from."""
    pixels: Tensor
    """(N, 3, H, W) uint8, sRGB, not premultiplied by alpha."""
    alpha: Tensor | None
    """(N, 1, H, W) uint8 coverage, or None for opaque photographs."""
    cameras: Cameras
    """N cameras in the normalised frame."""
    splits: Mapping[str, Tensor]
    """Indices (int64) of the views in "train", "val" and "test"; val may be empty."""
    background: tuple[float, float, float]
    """Colour in [0, 1] on which images with alpha are composited."""
    near: float
    """Distance along a ray before which there is nothing, in the normalised frame."""
    far: float
    """Distance along a ray after which there is nothing, in the normalised frame."""
    world_to_scene: Tensor
    """(4, 4) float64 similarity from the data set's world frame, whose coordinates may be large, to the normalised
    frame."""
    image_names: tuple[str, ...]
    """N names, relative to the source folder."""
    points: Tensor | None = None
    """(P, 3) float32 sparse points in the normalised frame, or None."""
    point_colors: Tensor | None = None
    """(P, 3) uint8 colours of the points, or None."""
    ignored: Tensor | None = None
    """(N, 1, H, W) bool, true where pixels were not observed and are of no account, or None. Colours there are the
    mean of their picture, alpha is full."""
    depth: Tensor | None = None
    """(N, 1, H, W) float32 z-depth in the normalised frame, infinite where nothing is hit, or None."""
    bounds: Bounds = "object"
    """What a field of it covers: [-1, 1]^3, or all space, contracted (`rendering.contraction`)."""
    reading: Reading = field(default_factory=Reading)
    """How `load_scene` was asked to read the folder."""
    read_size: int | None = None
    """Longer side in pixels that `load_scene` reads the same images with, before they were cropped; None: unknown."""

    def __len__(self) -> int:
        return self.pixels.shape[0]

    def __repr__(self) -> str:
        height, width = self.size
        splits = ", ".join(f"{len(index)} {name}" for name, index in self.splits.items() if len(index))
        return f"<Scene {self.name!r}: {len(self)} views of {width}x{height} pixels ({splits})>"

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the images in pixels."""
        return self.cameras.height, self.cameras.width

    @property
    def kind(self) -> SceneKind:
        """What the scene is to fits that nobody described (`assemble.kind_of` says it of a folder)."""
        known = self.points is not None and len(self.points) > 0
        return "capture" if known and self.bounds == "scene" else "object"

    def indices(self, split: str) -> Tensor:
        """Indices of the views of a split. Raises InputError when the scene has no such view."""
        if split not in self.splits or len(self.splits[split]) == 0:
            filled = ", ".join(name for name, index in self.splits.items() if len(index))
            raise InputError(self.source, f"split '{split}' is empty; this scene has {filled}")
        return self.splits[split]

    def kept(self, indices: Tensor) -> Tensor | None:
        """(B, 1, H, W) bool, true where the pixels of views count; None where all do."""
        return None if self.ignored is None else ~self.ignored[indices]

    def images(self, indices: Tensor) -> Tensor:
        """Views composited on the background: (B, 3, H, W) float32 in [0, 1]."""
        return self.pictures(indices).images(torch.arange(len(indices)))

    def pictures(self, indices: Tensor) -> Pictures:
        """Views as the bytes that they are kept as; no copies."""
        return Pictures(indices, self.pixels, self.alpha, torch.tensor(self.background))

    def cropped_to_multiple(self, factor: int) -> Scene:
        """Centre-crop so that both sides are multiples of `factor`; the principal points follow."""
        height, width = self.size
        new_height, new_width = height // factor * factor, width // factor * factor
        if (new_height, new_width) == (height, width):
            return self
        if not new_height or not new_width:
            raise InputError(self.source, f"images of {width}x{height} are smaller than the factor {factor}")
        top, left = (height - new_height) // 2, (width - new_width) // 2
        window = (..., slice(top, top + new_height), slice(left, left + new_width))
        return replace(
            self,
            pixels=self.pixels[window],
            alpha=None if self.alpha is None else self.alpha[window].contiguous(),
            ignored=None if self.ignored is None else self.ignored[window].contiguous(),
            depth=None if self.depth is None else self.depth[window].contiguous(),
            cameras=self.cameras.cropped(left=left, top=top, width=new_width, height=new_height),
        )

    def resized(self, *, width: int, height: int) -> Scene:
        """Area-averaged (antialiased) images on another pixel grid; cameras follow, depth is dropped."""
        if (height, width) == self.size:
            return self

        chunks = torch.split(self.pixels, 8)
        alphas = [None] * len(chunks) if self.alpha is None else torch.split(self.alpha, 8)
        resized = [
            resize(pixels, alpha, width=width, height=height)
            for pixels, alpha in zip(chunks, alphas, strict=True)
        ]
        return replace(
            self,
            pixels=torch.cat([pixels for pixels, _ in resized]),
            alpha=None
            if self.alpha is None
            else torch.cat([alpha for _, alpha in resized if alpha is not None]),
            # A pixel into which an ignored one goes is ignored, too.
            ignored=None
            if self.ignored is None
            else torch.nn.functional.interpolate(
                self.ignored.float(), size=(height, width), mode="bilinear", antialias=True
            )
            > 1e-6,
            cameras=self.cameras.resized(width=width, height=height),
            depth=None,
            read_size=max(width, height),
        )


def scene_name(path: Path) -> str:
    """A scene is called after its folder."""
    return path.resolve().name
