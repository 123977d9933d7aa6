"""What rendered latents kept of the spread and the detail of encoded ones, so that blur cannot pass as consistency.

Shape suffixes: B images, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor

HALF_NYQUIST = 0.25
"""Cycles per cell: half of the highest frequency that a grid of cells has."""
SMALLEST = 1e-8
"""Added to either variance: maps that are constant have no detail, and kept all of it."""


def spread_ratio(maps: Tensor, targets: Tensor) -> Tensor:
    """Standard deviation of `maps` (B, C, H, W) over that of `targets`, (B,): below 1 where contrast was lost.

    Over cells, as the root of the mean of the channels' variances. 1 is kept.
    """
    return _ratio(maps.var(dim=(2, 3), correction=0), targets.var(dim=(2, 3), correction=0))


def detail_ratio(maps: Tensor, targets: Tensor) -> Tensor:
    """Amplitude of what is finer than half Nyquist in `maps` (B, C, H, W), over that in `targets`, (B,).

    By the discrete Fourier transform; a frequency is finer where its row's or its column's part is above 0.25 cycles
    per cell. 1 is kept, 0 is blurred away, more than 1 is noise or aliasing.
    """
    return _ratio(_fine_energy(maps), _fine_energy(targets))


def _fine_energy(maps: Tensor) -> Tensor:
    """Energy (B, C) of what is finer than half Nyquist, per cell."""
    height, width = maps.shape[-2:]
    rows = torch.fft.fftfreq(height, device=maps.device).abs()[:, None]
    columns = torch.fft.fftfreq(width, device=maps.device).abs()[None]
    fine = torch.maximum(rows, columns) > HALF_NYQUIST
    energy: Tensor = torch.fft.fft2(maps.float(), norm="forward").abs().square()
    return (energy * fine).sum(dim=(2, 3))


def _ratio(variances: Tensor, targets: Tensor) -> Tensor:
    """Root of the ratio (B,) of variances (B, C), meaned over channels."""
    return ((variances.mean(dim=1) + SMALLEST) / (targets.mean(dim=1) + SMALLEST)).sqrt()
