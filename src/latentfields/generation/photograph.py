"""One photograph of an object as a view that a prior can be told: on white, as large in the frame as its views are.

Shape suffixes: C latent channels, h, w latent size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentfields.errors import InputError
from latentfields.priors.data import object_box
from latentfields.scenes.images import quiet_decoding, read_image
from latentfields.scenes.resampling import composited

_PLAIN = 24 / 255
"""Corners that differ by less, in every channel, are one background."""


def framed_photograph(path: Path, *, size: int, extent: float) -> Tensor:
    """The object in a photograph, (3, size, size) in [0, 1], on white, its longer side `extent` of the picture.

    The background is what is transparent; or, in opaque pictures, what has the colour of the corners, which have to
    agree. Raises InputError when the picture cannot be read, its background is not plain, or nothing is in front of it.
    """
    with quiet_decoding():
        pixels = torch.from_numpy(read_image(path, upright=True)).permute(2, 0, 1).float() / 255
    colors, alpha = (pixels[:3], pixels[3:]) if len(pixels) == 4 else (pixels, _coverage(pixels, path))
    image = composited(colors, alpha, (1.0, 1.0, 1.0))
    box = object_box(image)
    if box is None:
        raise InputError(path, "shows nothing in front of a plain background; expected one object")
    left, top, right, bottom = box
    return _centred(image[:, top:bottom, left:right], size=size, extent=extent)


def _coverage(image: Tensor, path: Path) -> Tensor:
    """(1, H, W) in {0, 1}, 0 where an opaque image (3, H, W) has the colour of its corners."""
    corners = torch.stack([image[:, y, x] for y in (0, -1) for x in (0, -1)])
    background = corners.median(dim=0).values
    if (corners - background).abs().max() > _PLAIN:
        raise InputError(
            path,
            "has corners of several colours; expected an object on a plain background, or transparency around it",
        )
    away = (image - background[:, None, None]).abs().amax(dim=0, keepdim=True)
    return (away > _PLAIN).float()


def _centred(picture: Tensor, *, size: int, extent: float) -> Tensor:
    """The picture (3, H, W), scaled so that its longer side is `extent` of a white square (3, size, size)."""
    height, width = picture.shape[1:]
    scale = extent * size / max(height, width)
    new = (max(1, round(height * scale)), max(1, round(width * scale)))
    levels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    resized = np.asarray(Image.fromarray(levels).resize((new[1], new[0]), Image.Resampling.LANCZOS))
    out = torch.ones(3, size, size)
    top, left = (size - new[0]) // 2, (size - new[1]) // 2
    out[:, top : top + new[0], left : left + new[1]] = torch.from_numpy(resized.copy()).permute(2, 0, 1) / 255
    return out
