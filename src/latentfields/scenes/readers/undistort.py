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

_SMALLEST_RADIUS = 1e-6
"""Nearer to the axis a fisheye is a pinhole up to rounding, and its formula is 0 / 0."""
_BORDER_SIDE = 2048
"""Longer side in pixels of the picture on which borders are looked for; larger ones are looked at coarsely."""
_FRAME = 8
"""Every so many pixels are looked at to find about where the border is, and frames of so many to find it."""


def distort(positions: Tensor, distortion: Distortion) -> Tensor:
    """Map ideal positions (..., 2) to where the lens puts them; both on the image plane at unit distance, y down.

    The formulas are OpenCV's and COLMAP's, in their names for the coefficients.
    """
    if distortion.model == "fov":
        return _field_of_view(positions, distortion.omega)
    if distortion.model == "fisheye":
        # Fisheyes bend the angle to the axis; what follows acts on the bent position.
        positions = _equidistant(positions)
    x, y = positions.unbind(-1)
    r2 = x * x + y * y
    k1, k2, k3, k4 = distortion.radial
    if distortion.model == "rational":
        k5, k6 = distortion.k5, distortion.k6
        radial = (1 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    else:
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))
    p1, p2 = distortion.p1, distortion.p2
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x) + distortion.sx1 * r2,
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y) + distortion.sy1 * r2,
        ],
        dim=-1,
    )


def _equidistant(positions: Tensor) -> Tensor:
    """Positions at a distance from the axis that is the angle to it, in radians."""
    radius = positions.norm(dim=-1, keepdim=True).clamp(min=_SMALLEST_RADIUS)
    bent: Tensor = positions * (radius.atan() / radius)
    return bent


def _field_of_view(positions: Tensor, omega: float) -> Tensor:
    """Devernay and Faugeras's model, one parameter: the angle of view of an ideal fisheye."""
    if omega == 0:
        return positions
    radius = positions.norm(dim=-1, keepdim=True).clamp(min=_SMALLEST_RADIUS)
    slope = 2 * torch.tan(torch.tensor(omega / 2, dtype=positions.dtype))
    bent: Tensor = positions * ((radius * slope).atan() / (radius * omega))
    return bent


def distorted_pixels(lens: Lens) -> Tensor:
    """(H, W, 2) float32 positions (column, row) in the stored picture of the pinhole's pixel centres."""
    return distorted_positions(
        lens, columns=torch.arange(lens.width) + 0.5, rows=torch.arange(lens.height) + 0.5
    )


def distorted_positions(lens: Lens, *, columns: Tensor, rows: Tensor) -> Tensor:
    """(R, C, 2) positions (column, row) in the stored picture of the pinhole's pixel positions.

    `columns` (C,) and `rows` (R,) are float32 positions in pixels of the pinhole's picture, centres at +0.5.
    """
    ideal = torch.stack(
        torch.meshgrid((columns - lens.cx) / lens.fx, (rows - lens.cy) / lens.fy, indexing="xy"), dim=-1
    )
    return distort(ideal, lens.distortion) * torch.tensor([lens.fx, lens.fy]) + torch.tensor(
        [lens.cx, lens.cy]
    )


def undistort(images: Tensor, lens: Lens, *, mode: Literal["bilinear", "nearest"] = "bilinear") -> Tensor:
    """The pinhole's pictures of stored `images`, both (B, C, H, W) float32.

    Pixels that see past the stored picture repeat its border; `blank_border` tells how far in they reach.
    """
    return sampled(images, distorted_pixels(lens), mode=mode)


def sampled(
    images: Tensor, positions: Tensor, *, mode: Literal["bilinear", "nearest"] = "bilinear"
) -> Tensor:
    """Values (B, C, R, Q) of `images` (B, C, H, W) float32 at `positions` (R, Q, 2), (column, row) in pixels.

    Beyond the images their border repeats.
    """
    height, width = images.shape[-2:]
    return torch.nn.functional.grid_sample(
        images,
        (positions * torch.tensor([2 / width, 2 / height]) - 1).expand(len(images), -1, -1, -1),
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
    step = -(-max(lens.width, lens.height) // _BORDER_SIDE)
    small = lens.reduced(step)
    columns, rows = torch.arange(small.width), torch.arange(small.height)
    border = _deepest_blank(small, columns=_spread(columns), rows=_spread(rows))
    while True:
        # Then all pixels of the frame behind what is known to be blank, until one is found without any.
        deepest = max(
            *(_deepest_blank(small, columns=columns, rows=part) for part in _frame(rows, border)),
            *(_deepest_blank(small, columns=part, rows=rows) for part in _frame(columns, border)),
        )
        if deepest <= border:
            break
        border = deepest
    border *= step
    if 4 * border > min(lens.width, lens.height):
        raise InputError(source, f"its lens distortion leaves no usable picture: {lens.distortion}")
    return border


def _spread(indices: Tensor) -> Tensor:
    """Every so many indices, and the last two."""
    spread: Tensor = torch.cat([indices[:-2:_FRAME], indices[-2:]]).unique()
    return spread


def _frame(indices: Tensor, border: int) -> tuple[Tensor, Tensor]:
    """The next indices after so many at either end."""
    return indices[border:][:_FRAME], indices[: len(indices) - border][-_FRAME:]


def _deepest_blank(lens: Lens, *, columns: Tensor, rows: Tensor) -> int:
    """How far in from the sides, in pixels, the blank ones among some reach: those of `columns` (C,) and `rows` (R,).

    0 when none is blank.
    """
    if min(len(columns), len(rows)) < 2:
        return 0
    stored = distorted_positions(lens, columns=columns + 0.5, rows=rows + 0.5)
    x, y = stored.unbind(-1)
    blank = (x < 0) | (y < 0) | (x > lens.width) | (y > lens.height) | ~_is_injective(stored)
    down, across = blank.nonzero(as_tuple=True)
    if len(down) == 0:
        return 0
    down, across = rows[down], columns[across]
    inside = torch.stack([across, down, lens.width - 1 - across, lens.height - 1 - down]).amin(dim=0)
    return int(inside.max()) + 1


def _is_injective(stored: Tensor) -> Tensor:
    """Mask of the pixels where their map (H, W, 2) does not fold over, as polynomials do far outside of their fit."""
    along_rows, along_columns = torch.gradient(stored, dim=(0, 1))
    folded: Tensor = (
        along_columns[..., 0] * along_rows[..., 1] - along_columns[..., 1] * along_rows[..., 0] <= 0
    )
    return ~folded
