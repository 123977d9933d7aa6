"""Antialiased texture look-up for many textures at once.

Every level of every texture's mip pyramid lies in one flat array of texels, so that a batch of look-ups in
different textures and at different levels of detail is a single gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def srgb_to_linear(values: NDArray[np.floating]) -> Floats:
    """sRGB-encoded values in [0, 1] as linear light in [0, 1]; any shape."""
    values = np.asarray(values, dtype=np.float32)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(values: NDArray[np.floating]) -> Floats:
    """Linear light, clipped to [0, 1], as sRGB-encoded values in [0, 1]; any shape."""
    values = np.clip(np.asarray(values, dtype=np.float32), 0.0, 1.0)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055).astype(
        np.float32
    )


_LINEAR_OF_BYTE = srgb_to_linear(np.arange(256, dtype=np.float32) / 255)


Wrap = Literal["repeat", "mirror", "clamp"]
"""What a texture shows beyond its sides: itself again, mirrored every other time, or its border."""
Wraps = tuple[Wrap, Wrap]
"""Across and down."""
REPEATED: Wraps = ("repeat", "repeat")
_WRAPS: tuple[Wrap, ...] = ("repeat", "mirror", "clamp")


class TextureAtlas:
    """The mip pyramids of some RGBA textures, ready for bilinear look-up."""

    def __init__(self, textures: list[NDArray[np.uint8]], wraps: Sequence[Wraps]) -> None:
        """`textures` are (height, width, 4) RGBA bytes: sRGB colours, straight alpha; one of `wraps` for each."""
        numbers = np.array([[_WRAPS.index(wrap) for wrap in wrap] for wrap in wraps], np.int8)
        self._wraps = numbers if numbers.any() else None
        pyramids = [_pyramid(texture) for texture in textures]
        levels = [level for pyramid in pyramids for level in pyramid]
        self._texels = np.concatenate([np.ascontiguousarray(level).reshape(-1, 4) for level in levels])
        self._packed = self._texels.view(np.uint32)[:, 0]
        self._height = np.array([level.shape[0] for level in levels], dtype=np.int32)
        self._width = np.array([level.shape[1] for level in levels], dtype=np.int32)
        self._offset = np.cumsum([0] + [level.shape[0] * level.shape[1] for level in levels])[:-1]
        self._level_count = np.array([len(pyramid) for pyramid in pyramids], dtype=np.int32)
        self._first_level = np.cumsum(np.concatenate([[0], self._level_count]))[:-1]
        self.log2_size = np.array(
            [0.5 * np.log2(texture.shape[0] * texture.shape[1]) for texture in textures], dtype=np.float32
        )
        """(T,) log2 of the geometric mean of each texture's sides: from texture coordinates to texels."""

    def sample(self, index: NDArray[np.int32], uv: Floats, level: Floats) -> Floats:
        """Look up linear RGBA (N, 4) in texture `index` (N,) at `uv` (N, 2), origin at the lower left.

        `level` (N,) is log2 of the footprint's width in texels of the full texture; it is rounded to a level
        of the pyramid.
        """
        # fmin and fmax drop the NaNs of degenerate faces.
        level = np.fmin(np.fmax(np.rint(level), 0), self._level_count[index] - 1)
        row_of_table = self._first_level[index] + level.astype(np.int32)
        width, height = self._width[row_of_table], self._height[row_of_table]
        across = down = None
        if self._wraps is not None:
            across, down = self._wraps[index].T
        x0, x1, fx = _neighbours(uv[:, 0], width, across)
        y0, y1, fy = _neighbours(-uv[:, 1] if down is None else 1 - uv[:, 1], height, down)
        offset = self._offset[row_of_table]
        top, bottom = offset + y0 * width, offset + y1 * width
        fx, fy = fx[:, None], fy[:, None]
        upper = self._fetch(top + x0) * (1 - fx) + self._fetch(top + x1) * fx
        lower = self._fetch(bottom + x0) * (1 - fx) + self._fetch(bottom + x1) * fx
        return (upper * (1 - fy) + lower * fy).astype(np.float32, copy=False)

    def _fetch(self, texel: NDArray[np.int64]) -> Floats:
        encoded = self._packed[texel].view(np.uint8).reshape(-1, 4)
        linear = _LINEAR_OF_BYTE[encoded]
        linear[:, 3] = encoded[:, 3] * np.float32(1 / 255)
        return linear


def _neighbours(
    coordinate: Floats, size: NDArray[np.int32], wraps: NDArray[np.int8] | None
) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """The two texels around a coordinate in texture widths, and the weight of the second.

    `wraps` (N,) are indices into `_WRAPS`; None: all repeat.
    """
    first, second, weight = _wrapped_neighbours(coordinate, size)
    if wraps is None:
        return first, second, weight
    mirrored = np.abs(coordinate - 2 * np.round(coordinate / 2))
    inside = np.where(wraps == _WRAPS.index("mirror"), mirrored, np.clip(coordinate, 0, 1))
    position = inside * size - np.float32(0.5)
    low = np.floor(position)
    repeats = wraps == _WRAPS.index("repeat")
    return (
        np.where(repeats, first, np.maximum(low, 0).astype(np.int32)),
        np.where(repeats, second, np.minimum(low + 1, size - 1).astype(np.int32)),
        np.where(repeats, weight, position - low).astype(np.float32),
    )


def _wrapped_neighbours(
    coordinate: Floats, size: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """The two texels around a repeating coordinate in texture widths, and the weight of the second."""
    position = (coordinate - np.floor(coordinate)) * size - np.float32(0.5)
    low = np.floor(position)
    first = low.astype(np.int32)
    second = first + 1
    return (
        np.where(first < 0, size - 1, first),
        np.where(second >= size, second - size, second),
        (position - low).astype(np.float32),
    )


def _pyramid(texture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The texture and its successive halvings, averaged in linear light, down to one texel."""
    levels = [texture]
    linear = _LINEAR_OF_BYTE[texture]
    linear[..., 3] = texture[..., 3] / np.float32(255)
    while max(linear.shape[:2]) > 1:
        linear = _halved(_halved(linear, axis=0), axis=1)
        encoded = linear.copy()
        encoded[..., :3] = linear_to_srgb(linear[..., :3])
        levels.append(np.rint(encoded * 255).astype(np.uint8))
    return levels


def _halved(image: Floats, *, axis: int) -> Floats:
    """Average neighbouring pairs along an axis; an odd last element joins the pair before it."""
    size = image.shape[axis]
    if size == 1:
        return image
    image = np.moveaxis(image, axis, 0)
    half = size // 2
    out: Floats = (image[0 : 2 * half : 2] + image[1 : 2 * half : 2]) / np.float32(2)
    if size % 2:
        out[-1] = (2 * out[-1] + image[-1]) / 3
    return np.moveaxis(out, 0, axis)
