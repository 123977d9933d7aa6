"""Perceptual distance between RGB images: gradient magnitude similarity, which needs no weights, and LPIPS.

GMSD: Xue, Zhang, Mou, Bovik, "Gradient Magnitude Similarity Deviation", IEEE TIP 2014. Multi-scale: Zhang,
Sander, Bermak, "Gradient magnitude similarity deviation on multiple scales for color image quality
assessment", ICASSP 2017. Both compare luminance only here (0.299 R + 0.587 G + 0.114 B); colour errors are
left to pixel metrics. Two details differ from the published code: borders are replicated, because zeros
around the image would be an edge of their own, and an odd last row or column is left out when images are
halved.

Images are (B, 3, H, W) in [0, 1]. Distances are 0 for equal images; larger is worse.
"""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from latentfields.devices import like

_CONTRAST = 170 / 255**2  # the constant T of both papers, for values in [0, 1]
_MASKING = 0.5  # alpha of the 2017 paper
_SCALE_WEIGHTS = (0.096, 0.596, 0.289, 0.019)
_SMALLEST_SIDE = 16
# Keeps square roots differentiable at zero; as a gradient magnitude it is 1/40 of an 8-bit level.
_TINY = 1e-8
_PIXELS = (1, 2, 3)

_BACKBONES = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights"}


def gmsd(images: Tensor, targets: Tensor) -> Tensor:
    """Gradient magnitude similarity deviation (B,): how unevenly edges at half resolution are preserved.

    Differentiable, with finite gradients on flat regions too. Raises ValueError below 16 pixels on a side.
    """
    luma_i, luma_t = (avg_pool2d(luma, 2) for luma in _luminances(images, targets))
    return _root(_similarity(luma_i, luma_t, masking=0.0).var(dim=_PIXELS, correction=0))


def multiscale_gmsd(images: Tensor, targets: Tensor) -> Tensor:
    """Multi-scale gradient magnitude similarity deviation (B,): four scales, each half the one before.

    The luminance form of the 2017 paper. Differentiable, with finite gradients on flat regions too. As a
    training loss prefer `gradient_similarity_loss`. Raises ValueError below 16 pixels on a side.
    """
    return _root(_over_scales(images, targets, lambda similarity: similarity.var(dim=_PIXELS, correction=0)))


def gradient_similarity_loss(images: Tensor, targets: Tensor) -> Tensor:
    """Training loss (B,), never below `multiscale_gmsd`: deviation of similarity from 1, not from its mean.

    The published deviation forgives an evenly bad image, and falls when a pixel better than average gets
    worse: minimised, it draws faint edges into flat backgrounds. This one is only zero where all edges agree.
    Differentiable, with finite gradients on flat regions too. Raises ValueError below 16 pixels on a side.
    """
    return _root(
        _over_scales(images, targets, lambda similarity: (1 - similarity).square().mean(dim=_PIXELS))
    )


@dataclass(frozen=True)
class Unavailable:
    """The reason why a measure cannot be computed here."""

    reason: str
    """A clause that completes "... was not computed because"."""


def load_lpips(
    net: Literal["alex", "vgg"] = "alex", *, device: torch.device | str = "cpu"
) -> Callable[[Tensor, Tensor], Tensor] | Unavailable:
    """LPIPS v0.1 as a function of two (B, 3, H, W) in [0, 1], giving (B,); or the reason why there is none.

    Never downloads: the backbone's ImageNet weights must already lie in torch's hub folder. The function is
    differentiable in its images; its own weights are frozen.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models = importlib.import_module("torchvision.models")
            package = importlib.import_module("lpips")
    except ModuleNotFoundError as error:
        return Unavailable(f"{error.name} is not installed (pip install 'latentfields[lpips]')")
    except Exception as error:
        # A torchvision built for another torch fails while importing with whatever its operators raise.
        problem = str(error).partition("\n")[0]
        return Unavailable(f"torchvision or lpips is installed but cannot be imported here: {problem}")
    url = str(getattr(models, _BACKBONES[net]).IMAGENET1K_V1.url)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if not (folder / Path(url).name).is_file():
        return Unavailable(f"its backbone weights are not on this machine (place {url} in {folder})")
    return _lpips_distance(package, net, device)


def _lpips_distance(package: Any, net: str, device: torch.device | str) -> Callable[[Tensor, Tensor], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lpips calls torchvision by deprecated names
        model = package.LPIPS(net=net, verbose=False).to(device).requires_grad_(False).eval()

    def distance(images: Tensor, targets: Tensor) -> Tensor:
        values: Tensor = model(images, targets, normalize=True)
        return values.flatten()

    return distance


def _over_scales(images: Tensor, targets: Tensor, pool: Callable[[Tensor], Tensor]) -> Tensor:
    """Weighted sum over scales (B,) of `pool`, which takes a similarity map (B, 1, h, w) to (B,)."""
    luma_i, luma_t = _luminances(images, targets)
    total = torch.zeros_like(luma_i[:, 0, 0, 0])
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        if scale > 0:
            luma_i, luma_t = avg_pool2d(luma_i, 2), avg_pool2d(luma_t, 2)
        total = total + weight * pool(_similarity(luma_i, luma_t, masking=_MASKING))
    return total


def _luminances(images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance (B, 1, H, W) of both, checked."""
    if images.shape != targets.shape or images.dim() != 4 or images.shape[1] != 3:
        raise ValueError(
            f"expected two (B, 3, H, W) of one shape, got {(*images.shape,)} and {(*targets.shape,)}"
        )
    if min(images.shape[2:]) < _SMALLEST_SIDE:
        raise ValueError(f"expected at least {_SMALLEST_SIDE} pixels on a side, got {(*images.shape[2:],)}")
    weights = like([0.299, 0.587, 0.114], images).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True), (targets * weights).sum(dim=1, keepdim=True)


def _similarity(luma_i: Tensor, luma_t: Tensor, *, masking: float) -> Tensor:
    """Gradient magnitude similarity (B, 1, H, W), 1 where edges agree."""
    magnitude_i, magnitude_t = _gradient_magnitude(luma_i), _gradient_magnitude(luma_t)
    product = magnitude_i * magnitude_t
    shared = (2 - masking) * product + _CONTRAST
    return shared / (magnitude_i.square() + magnitude_t.square() - masking * product + _CONTRAST)


def _gradient_magnitude(luma: Tensor) -> Tensor:
    """Length of the Prewitt gradient, (B, 1, H, W), by sums of slices: far faster than conv2d on a CPU."""
    padded = pad(luma, (1, 1, 1, 1), mode="replicate")
    rows = (padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]) / 3
    columns = (padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]) / 3
    across = rows[..., 2:] - rows[..., :-2]
    down = columns[..., 2:, :] - columns[..., :-2, :]
    return (across.square() + down.square() + _TINY).sqrt()


def _root(value: Tensor) -> Tensor:
    return (value + _TINY).sqrt() - math.sqrt(_TINY)
