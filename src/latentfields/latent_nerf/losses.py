"""The objectives of the two stages (IG-AE Sec. 3.2). Shape suffixes as in `model`."""

from __future__ import annotations

from torch import Tensor


def latent_supervision_loss(rendered: Tensor, encoded: Tensor) -> Tensor:
    """Eq. 2's reconstructive term: mean squared error between rendered and encoded latents, same shape.

    The field adds its own regularisation.
    """
    return (rendered - encoded).square().mean()


def rgb_alignment_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """Eq. 3: mean squared error between decoded renderings and images (B, 3, H, W)."""
    return (decoded - images).square().mean()
