"""Frames of the viewer: from a scene, a camera and a choice to a picture.

Pictures have the shape of the canvas that they fill: `aspect` is its width over its height.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.measures.metrics import LATENT_RANGE, psnr
from latentfields.pages.pictures import (
    LatentProjection,
    Pixels,
    depth_range,
    depth_to_pixels,
    enlarge,
    error_to_pixels,
    to_pixels,
)
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.reading import Bounds

Kind = Literal["RGB", "Decoded latents", "Latent components", "Latent channel", "Depth", "Error"]
"""What is shown: the image, which is decoded where the scene has no colours of its own; decoded latents where it has;
latents by three principal components; one channel of the latents; distance along the rays; or the error of the nearest
training view."""

ERROR_GAIN = 4.0
OPAQUE = 0.5
"""Opacity below which there is no surface."""
BEHIND_ALL = 100.0
"""Depth of what has no surface: behind everything that the viewer draws."""
DEPTH_ROWS = 128
"""Largest height of the depth that hides what stands behind surfaces; encoding more would take longer than drawing."""
_DEPTH_STEP = 1 / 256
"""Depth is rounded to multiples of this, which halves the time of its encoding."""
_MARGIN_GREY = 24


class ViewedScene(Protocol):
    """A scene that can be looked at, with the training views it was fitted to."""

    @property
    def name(self) -> str:
        """Short name."""
        ...

    @property
    def factor(self) -> int:
        """Pixels per rendered feature along one side."""
        ...

    @property
    def channels(self) -> int | None:
        """Latent channels, or None for a scene of colours."""
        ...

    @property
    def cameras(self) -> Cameras:
        """Cameras of the N training views, in the normalised frame."""
        ...

    @property
    def bounds(self) -> Bounds:
        """Whether there is anything outside of [-1, 1]^3."""
        ...

    @property
    def view_names(self) -> Sequence[str]:
        """N names."""
        ...

    @property
    def has_images(self) -> bool:
        """True when the training views' pictures are at hand, beside their cameras."""
        ...

    @property
    def has_colors(self) -> bool:
        """True when the scene has colours beside latents."""
        ...

    @property
    def projection(self) -> LatentProjection:
        """Principal components of the training views' latents; only where there are latents."""
        ...

    def images(self, indices: Tensor) -> Tensor:
        """Training views (B, 3, H, W) in [0, 1]; only where there are pictures."""
        ...

    def render(self, cameras: Cameras) -> tuple[Tensor, Rendering]:
        """Images (B, 3, H, W) in [0, 1] and what they were decoded from, on the CPU."""
        ...

    def render_colors(self, cameras: Cameras) -> tuple[Tensor, Rendering]:
        """Images (B, 3, H, W) in [0, 1] of colours, and the same unclamped, on the CPU; only where there are any."""
        ...

    def geometry(self, cameras: Cameras) -> Rendering:
        """Depth and opacity (B, 1, H, W) of every pixel, however coarse latents are, on the CPU."""
        ...


@dataclass(frozen=True)
class Choice:
    """A choice of what to see."""

    kind: Kind = "RGB"
    channel: int = 0
    """For "Latent channel"."""


@dataclass(frozen=True)
class Frame:
    """A picture for the canvas."""

    pixels: Pixels
    """(H, W, 3)."""
    depth: NDArray[np.float32] | None
    """(h, w) depth along the optical axis, h at most `DEPTH_ROWS`; None for a picture that was not taken by the
    viewer's own camera."""
    cells: bool = False
    """Whether the picture consists of squares of one colour, whose edges are to stay sharp."""
    note: str = ""
    """Says what cannot be seen: which view was compared, and how well it fits."""


def kinds(scene: ViewedScene) -> tuple[Kind, ...]:
    """The kinds of pictures that a scene can give: latents and errors only where there are any."""
    latent: tuple[Kind, ...] = () if scene.channels is None else ("Latent components", "Latent channel")
    decoded: tuple[Kind, ...] = ("Decoded latents",) if scene.has_colors else ()
    error: tuple[Kind, ...] = ("Error",) if scene.has_images else ()
    return ("RGB", *decoded, *latent, "Depth", *error)


def draw(scene: ViewedScene, camera: Cameras, choice: Choice, *, aspect: float) -> Frame:
    """The picture of a scene that one `camera` takes; for "Error", that of the nearest training camera."""
    if choice.kind == "Error":
        return _draw_error(scene, camera, aspect=aspect)
    if choice.kind == "Depth":
        return _draw_depth(scene.geometry(camera), camera)
    colored = scene.has_colors and choice.kind == "RGB"
    images, seen = scene.render_colors(camera) if colored else scene.render(camera)
    depth = surface_depth(seen, camera)
    if choice.kind in ("RGB", "Decoded latents"):
        return Frame(_first(to_pixels(images)), depth)
    # The browser would blur the cells of latents into each other.
    return Frame(enlarge(_cells(scene, seen, choice), factor=scene.factor), depth, cells=scene.factor > 1)


def nearest_view(cameras: Cameras, camera: Cameras) -> int:
    """Index of the one of `cameras` that stands and looks most like `camera`, distances in units of the scene."""
    apart = (cameras.centers - camera.centers).square().sum(-1)
    turned = (cameras.forward - camera.forward).square().sum(-1)
    return int((apart + turned).argmin())


def surface_depth(seen: Rendering, camera: Cameras) -> NDArray[np.float32]:
    """Depth (h, w) along the optical axis of what one camera sees; `BEHIND_ALL` where it sees no surface.

    Between rendered features, which are coarser than pixels where the scene is latent, it is interpolated.
    """
    height, width = seen.depth.shape[-2:]
    rays = camera.resized(width=width, height=height).rays()
    along_axis = (rays.directions[0] * camera.forward[0]).sum(-1)
    maps = torch.cat([seen.depth * along_axis, seen.opacity], dim=1)
    rows = min(DEPTH_ROWS, camera.height)
    fine = torch.nn.functional.interpolate(
        maps, size=(rows, round(rows * camera.width / camera.height)), mode="bilinear"
    )[0]
    depth = torch.where(fine[1] > OPAQUE, (fine[0] / _DEPTH_STEP).round() * _DEPTH_STEP, BEHIND_ALL)
    out: NDArray[np.float32] = depth.numpy()
    return out


def _cells(scene: ViewedScene, seen: Rendering, choice: Choice) -> Pixels:
    if choice.kind == "Latent components":
        return _first(scene.projection.pixels(seen.features))
    grey = seen.features[:, choice.channel, None] / LATENT_RANGE + 0.5
    return _first(to_pixels(grey.expand(-1, 3, -1, -1)))


def _draw_depth(seen: Rendering, camera: Cameras) -> Frame:
    depth = torch.where(seen.opacity > OPAQUE, seen.depth, torch.inf)[0, 0]
    near, far = depth_range(depth)
    note = f"red at {near:.2f}, blue at {far:.2f}; the scene's box has the side 2"
    return Frame(depth_to_pixels(depth, near=near, far=far), surface_depth(seen, camera), note=note)


def _draw_error(scene: ViewedScene, camera: Cameras, *, aspect: float) -> Frame:
    index = nearest_view(scene.cameras, camera)
    nearest = scene.cameras[[index]]
    images, _ = scene.render_colors(nearest) if scene.has_colors else scene.render(nearest)
    truth = scene.images(torch.tensor([index]))
    error = _first(error_to_pixels(images, truth, gain=ERROR_GAIN))
    note = f"{scene.view_names[index]}: {float(psnr(images, truth)[0]):.2f} dB, error x{ERROR_GAIN:.0f}"
    return Frame(padded_to(error, aspect=aspect), None, note=note)


def padded_to(pixels: Pixels, *, aspect: float) -> Pixels:
    """(H, W, 3) in the middle of a dark picture that is just large enough and has about the ratio `aspect`."""
    height, width = pixels.shape[:2]
    new_height, new_width = max(height, round(width / aspect)), max(width, round(height * aspect))
    top, left = (new_height - height) // 2, (new_width - width) // 2
    out = np.full((new_height, new_width, 3), _MARGIN_GREY, dtype=np.uint8)
    out[top : top + height, left : left + width] = pixels
    return out


def _first(pictures: Pixels) -> Pixels:
    picture: Pixels = pictures[0]
    return picture
