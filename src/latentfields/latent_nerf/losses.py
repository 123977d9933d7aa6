"""The objectives of the two stages (IG-AE Sec. 3.2; LRF Sec. 4.2). Shape suffixes as in `scene_model`."""

from __future__ import annotations

from torch import Tensor

from latentfields.measures.metrics import ssim

SMALLEST_DEPTH = 1e-3
"""In the normalised frame: logarithms have to be finite."""


def latent_supervision_loss(rendered: Tensor, encoded: Tensor) -> Tensor:
    """Eq. 2's reconstructive term: mean squared error between rendered and encoded latents, same shape.

    The field adds its own regularisation.
    """
    return (rendered - encoded).square().mean()


def splatting_loss(
    rendered: Tensor, targets: Tensor, *, structure_weight: float, data_range: float
) -> Tensor:
    """LRF Eq. 10 for features (B, C, h, w): (1 - w) L1 + w D-SSIM with D-SSIM = 1 - SSIM, as 3DGS has it.

    `data_range` is the distance between the least and the largest value, on which SSIM depends.
    """
    difference = (rendered - targets).abs().mean()
    structure = 1 - ssim(rendered, targets, data_range=data_range).mean()
    return (1 - structure_weight) * difference + structure_weight * structure


def rgb_alignment_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Eq. 3: mean squared error between decoded renderings and images (B, 3, H, W)."""
    return (decoded - images).square().mean()


def point_depth_loss(depth: Tensor, known: Tensor) -> Tensor:
    """Mean |log(rendered / known)| of depths (P,) at sparse points: far ones, which are known less well, pull less."""
    return (depth.clamp(min=SMALLEST_DEPTH) / known).log().abs().mean()
