"""Pictures of images, latents, depth and errors: uint8 arrays (H, W, 3), sRGB, and PNG files.

Every conversion has a fixed scale (a projection, a depth range, a gain), so that panels side by side compare.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from latentfields.files import replacing

Pixels = NDArray[np.uint8]
"""(H, W, 3) uint8, sRGB."""


def to_pixels(images: Tensor) -> Pixels:
    """Images (..., 3, H, W) in [0, 1], rounded to 8 bits: (..., H, W, 3). Clamps; NaN becomes black."""
    levels = (torch.nan_to_num(images.detach()).clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.movedim(-3, -1).cpu().numpy()


@dataclass(frozen=True)
class LatentProjection:
    """Latents to colour by three principal components of reference latents: one projection for all panels."""

    mean: Tensor
    """(C,) mean latent."""
    axes: Tensor
    """(3, C) principal directions, largest variance first; zero where there are fewer than three channels."""
    low: Tensor
    """(3,) values along the axes that are drawn black."""
    high: Tensor
    """(3,) values along the axes that are drawn at full intensity."""

    @classmethod
    def fit(cls, latents: Tensor) -> LatentProjection:
        """Components and ranges (1st to 99th percentile) of reference latents (B, C, h, w)."""
        samples = latents.detach().movedim(1, -1).flatten(0, -2).double().cpu()
        mean = samples.mean(dim=0)
        _, vectors = torch.linalg.eigh((samples - mean).T @ (samples - mean))
        axes = vectors.flip(1)[:, :3].T
        # An eigenvector has no sign of its own; fix one, so that equal latents get equal colours everywhere.
        largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
        axes = axes * largest.sign()
        axes = torch.cat([axes, axes.new_zeros(3 - len(axes), len(mean))])
        values = np.percentile(((samples - mean) @ axes.T).numpy(), (1, 99), axis=0)
        low, high = torch.from_numpy(values).float()
        return cls(mean.float(), axes.float(), low, high)

    def pixels(self, latents: Tensor) -> Pixels:
        """Latents (B, C, h, w) as (B, h, w, 3), at their own resolution."""
        centred = latents.detach().float().cpu().movedim(1, -1) - self.mean
        spread = (self.high - self.low).clamp(min=1e-6)
        return to_pixels(((centred @ self.axes.T - self.low) / spread).movedim(-1, -3))


FAR_AWAY = 8.0
"""Farthest over nearest depth from which pictures show inverse depth."""


def depth_range(depth: Tensor) -> tuple[float, float]:
    """(near, far): the 1st and 99th percentile of the finite values of a depth of any shape, or (0, 1)."""
    finite = depth[depth.isfinite()].detach().cpu().numpy()
    if not finite.size:
        return 0.0, 1.0
    near, far = np.percentile(finite, (1, 99))
    return float(near), float(far)


def depth_to_pixels(depth: Tensor, *, near: float, far: float) -> Pixels:
    """Depth (..., H, W) as (..., H, W, 3): red at `near`, blue at `far` (turbo), white where not finite.

    Colours are even in depth, and in inverse depth where `far` is so far away that all else would be red.
    """
    if 0 < near < far / FAR_AWAY:
        closeness = (1 / depth.detach() - 1 / far) / (1 / near - 1 / far)
    else:
        closeness = (far - depth.detach()) / max(far - near, 1e-6)
    pixels = _colour_map("turbo", closeness)
    pixels[~depth.isfinite().cpu().numpy()] = 255
    return pixels


def error_to_pixels(images: Tensor, targets: Tensor, *, gain: float) -> Pixels:
    """Absolute error (..., H, W, 3) of (..., C, H, W), mean of channels: black at 0, yellow at 1 / `gain`."""
    error = (images.detach() - targets.detach()).abs().mean(dim=-3)
    return _colour_map("inferno", error * gain)


def enlarge(pixels: Pixels, *, factor: int) -> Pixels:
    """Every pixel of (H, W, 3) as a square of `factor` by `factor`."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def encode_png(pixels: Pixels) -> bytes:
    """A PNG file of (H, W, 3), lossless."""
    buffer = io.BytesIO()
    # To optimise takes up to five times as long, for a hundredth of the bytes.
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def picture_files(names: Sequence[str], *, flat: bool = False) -> list[str]:
    """N names of PNG files, no two alike on any system, by the names of pictures, relative to a folder.

    They are the pictures' own with another ending, in the same folders; `flat` leaves out the folders where names
    differ without. Endings are kept where names differ in them alone, and numbers stand in front of what is named
    twice.
    """
    # What lies above the folder has no place in it.
    inside = [[part for part in PurePosixPath(name).parts if part not in ("/", "..")] for name in names]
    paths = [PurePosixPath(*(parts or ["picture"])) for parts in inside]
    attempts = [[f"{path.stem}.png" for path in paths]] if flat else []
    attempts += [[str(path.with_suffix(".png")) for path in paths], [f"{path}.png" for path in paths]]
    numbered = [f"{index:04d}_{path.name}.png" for index, path in enumerate(paths)]
    return next(filter(_all_differ, attempts), numbered)


def _all_differ(files: list[str]) -> bool:
    """True when all files can lie in one folder, on file systems that take a for A as well."""
    folded = {file.casefold() for file in files}
    folders = {str(parent) for file in folded for parent in PurePosixPath(file).parents}
    return len(folded) == len(files) and not folded & folders


def save_png(path: Path, pixels: Pixels) -> None:
    """Write (H, W, 3) to a PNG file that is replaced in one step."""
    with replacing(path) as temporary:
        temporary.write_bytes(encode_png(pixels))


def save_rgba(path: Path, pixels: Tensor, alpha: Tensor | None) -> None:
    """Write pixels (3, H, W) uint8, with alpha (1, H, W) uint8 where there is any, to a PNG file."""
    channels = pixels if alpha is None else torch.cat([pixels, alpha])
    with replacing(path) as temporary:
        temporary.write_bytes(encode_png(channels.movedim(0, -1).contiguous().numpy()))


def _colour_map(name: str, values: Tensor) -> Pixels:
    """Values in [0, 1], clamped, looked up in one of matplotlib's maps of 256 colours: shape (..., 3)."""
    import matplotlib  # slow to import, and only reports need it

    table = matplotlib.colormaps[name](np.arange(256), bytes=True)[:, :3].astype(np.uint8)
    index = (torch.nan_to_num(values.detach(), nan=0.0).clamp(0, 1) * 255).round().long().cpu().numpy()
    colours: Pixels = table[index]
    return colours
