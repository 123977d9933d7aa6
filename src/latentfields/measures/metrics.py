"""Fidelity of images and latents: RMSE, PSNR and SSIM, one value per image.

Shape suffixes: B images, C channels, H height, W width. Nothing here clamps or rounds its input.

Images have `data_range` 1. Normalised latents have unit spread per channel and no natural peak, so that their
PSNR and SSIM need a convention: `LATENT_RANGE`. The range of the reference at hand would not do, because it
follows outliers and differs between views. With a constant, PSNR is 15.56 dB - 20 log10(RMSE) for every scene
and autoencoder, and 15.56 dB (6^2 over a variance of 1) is what predicting the mean latent scores. Report
`rmse` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LATENT_RANGE = 6.0
"""`data_range` of normalised latents: plus and minus three standard deviations."""

PSNR_CEILING = 100.0
"""PSNR in dB of identical images, in place of infinity; rounding to 8 bits already costs all above 59 dB."""

_WINDOW, _SIGMA = 11, 1.5


def rmse(images: Tensor, targets: Tensor, *, kept: Tensor | None = None) -> Tensor:
    """Root mean square error (B,) over the channels and pixels of (B, C, H, W), in the unit of the values.

    `kept` (B, 1, H, W) bool marks the pixels that count; by default all do. Not meant as a loss: its gradient is
    undefined where an image equals its target.
    """
    return _mse(images, targets, kept).sqrt()


def psnr(images: Tensor, targets: Tensor, *, data_range: float = 1.0, kept: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio (B,) in dB of (B, C, H, W), at most `PSNR_CEILING`.

    `data_range` is the distance between the smallest and the largest possible value. A NaN in an image makes
    its result NaN. `kept` as for `rmse`.
    """
    error = _mse(images, targets, kept) / data_range**2
    return -10 * torch.log10(error.clamp(min=10 ** (-PSNR_CEILING / 10)))


def ssim(images: Tensor, targets: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Mean structural similarity (B,) of (B, C, H, W), at most 1, averaged over channels; differentiable.

    Wang et al. 2004: Gaussian window of 11 x 11 pixels, sigma 1.5, K1 = 0.01, K2 = 0.03. Only windows that
    lie wholly inside the image count (no padding): a 16 x 16 latent has 6 x 6 of them. On a side below 11
    pixels the window is the largest odd length that fits, normalised again, with the same sigma. Variances
    come from differences of means, which needs float32 or better: keep it out of autocast regions.
    """
    _require_same_shape(images, targets)
    stack = torch.cat([images, targets, images * images, targets * targets, images * targets], dim=1)
    mean_i, mean_t, square_i, square_t, product = _window_means(stack).chunk(5, dim=1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean_it, power = mean_i * mean_t, mean_i.square() + mean_t.square()
    luminance = (2 * mean_it + c1) / (power + c1)
    structure = (2 * (product - mean_it) + c2) / (square_i + square_t - power + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))


@dataclass(frozen=True)
class Scores:
    """Metrics of named images: every value is kept, averages are taken over images."""

    names: tuple[str, ...]
    """Image names, in order."""
    per_image: Mapping[str, tuple[float, ...]]
    """For every metric, one value per name."""

    @classmethod
    def gather(cls, names: Sequence[str], batches: Sequence[Mapping[str, Tensor]]) -> Scores:
        """Join metrics (B,) of consecutive batches that together cover `names`; all have the same metrics.

        Raises ValueError when a metric has another number of values than there are names.
        """
        per_image = {
            metric: tuple(torch.cat([batch[metric] for batch in batches]).tolist()) for metric in batches[0]
        }
        for metric, values in per_image.items():
            if len(values) != len(names):
                raise ValueError(f"{len(values)} values of {metric} for {len(names)} images")
        return cls(tuple(names), per_image)

    @property
    def means(self) -> dict[str, float]:
        """Every metric averaged over the images."""
        return {metric: sum(values) / len(values) for metric, values in self.per_image.items()}

    def to_json(self) -> dict[str, dict[str, object]]:
        """Plain values for a JSON file: "mean", and "per_image" by image name."""
        rows = {
            name: {metric: values[index] for metric, values in self.per_image.items()}
            for index, name in enumerate(self.names)
        }
        return {"mean": dict(self.means), "per_image": dict(rows)}


def whole_cells(kept: Tensor, factor: int) -> Tensor:
    """Mask (B, 1, H / factor, W / factor) of the squares of pixels all of which `kept` (B, 1, H, W) marks."""
    return -torch.nn.functional.max_pool2d(-kept.float(), factor) > 0.5


def _mse(images: Tensor, targets: Tensor, kept: Tensor | None) -> Tensor:
    _require_same_shape(images, targets)
    squares = (images - targets).square()
    if kept is None:
        return squares.mean(dim=(1, 2, 3))
    counted = torch.where(kept, squares, 0).sum(dim=(1, 2, 3))
    return counted / (squares.shape[1] * kept.sum(dim=(1, 2, 3)).clamp(min=1))


def _require_same_shape(images: Tensor, targets: Tensor) -> None:
    # Broadcasting would compare every image with one target, silently.
    if images.shape != targets.shape or images.dim() != 4:
        raise ValueError(
            f"expected two (B, C, H, W) of one shape, got {(*images.shape,)} and {(*targets.shape,)}"
        )


def _window_means(maps: Tensor) -> Tensor:
    """Gaussian-weighted means of all windows inside maps (B, C, H, W), one axis after the other."""
    channels = maps.shape[1]
    for axis in (2, 3):
        weights = _window(maps.shape[axis], maps).view(1, 1, *((-1, 1) if axis == 2 else (1, -1)))
        # One depthwise convolution over all maps: on a CPU ten times faster than one map per batch entry.
        maps = torch.nn.functional.conv2d(maps, weights.expand(channels, -1, -1, -1), groups=channels)
    return maps


def _window(side: int, like: Tensor) -> Tensor:
    length = min(_WINDOW, side if side % 2 else side - 1)
    offsets = torch.arange(length, dtype=like.dtype, device=like.device) - length // 2
    weights = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    return weights / weights.sum()
