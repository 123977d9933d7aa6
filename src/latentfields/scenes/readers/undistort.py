"""Lens distortion, removed once, when a scene is read: every camera after that is a pinhole.

For each pixel of the ideal pinhole the distortion is applied forwards and the stored picture is sampled
there, so nothing has to be inverted. Focal lengths and principal points stay what they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import PINHOLE, Distortion, Lens


def distort(positions: Tensor, distortion: Distortion) -> Tensor:
    """Where the lens puts ideal positions (..., 2); both on the image plane at unit distance, y down."""
    x, y = positions.unbind(-1)
    r2 = x * x + y * y
    k1, k2, k3, k4 = distortion.radial
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    p1, p2 = distortion.p1, distortion.p2
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y),
        ],
        dim=-1,
    )


def distorted_pixels(lens: Lens) -> Tensor:
    """(H, W, 2) float32 positions (column, row) in the stored picture of the pinhole's pixel centres."""
    columns = (torch.arange(lens.width) + 0.5 - lens.cx) / lens.fx
    rows = (torch.arange(lens.height) + 0.5 - lens.cy) / lens.fy
    ideal = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
    return distort(ideal, lens.distortion) * torch.tensor([lens.fx, lens.fy]) + torch.tensor(
        [lens.cx, lens.cy]
    )


def undistort(images: Tensor, lens: Lens, *, mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
    """The pinhole's pictures of stored `images`, both (B, C, H, W) float32.

    Pixels that see past the stored picture repeat its border; `blank_border` tells how far in they reach.
    """
    grid = distorted_pixels(lens) * torch.tensor([2 / lens.width, 2 / lens.height]) - 1
    return torch.nn.functional.grid_sample(
        images,
        grid.expand(len(images), -1, -1, -1),
        mode=mode,
        padding_mode="border",
        align_corners=False,
    )


def blank_border(lens: Lens, *, source: Path) -> int:
    """Pixels to crop from every side so that no pixel of the undistorted picture sees past the stored one.

    Raises InputError, naming `source`, when less than half of the picture would be left.
    """
    if lens.distortion == PINHOLE or min(lens.width, lens.height) < 2:
        return 0
    stored = distorted_pixels(lens)
    x, y = stored.unbind(-1)
    blank = (x < 0) | (y < 0) | (x > lens.width) | (y > lens.height) | ~_is_injective(stored)
    rows, columns = blank.nonzero(as_tuple=True)
    if len(rows) == 0:
        return 0
    inside = torch.stack([columns, rows, lens.width - 1 - columns, lens.height - 1 - rows]).amin(dim=0)
    border = int(inside.max()) + 1
    if 4 * border > min(lens.width, lens.height):
        raise InputError(source, f"its lens distortion leaves no usable picture: {lens.distortion}")
    return border


def _is_injective(stored: Tensor) -> Tensor:
    """Where the map of pixels (H, W, 2) does not fold over, as polynomials do far outside of their fit."""
    along_rows, along_columns = torch.gradient(stored, dim=(0, 1))
    folded: Tensor = (
        along_columns[..., 0] * along_rows[..., 1] - along_columns[..., 1] * along_rows[..., 0] <= 0
    )
    return ~folded
