"""The objective of VAE-radiance-field alignment (LRF Sec. 4.3).

Norms are means over elements, images are in [0, 1]. Shape suffixes: B views, H, W image size.
"""

from __future__ import annotations

from torch import Tensor

from latentfields.lrf.decoder.config import DecoderTrainingConfig


def view_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """||D(Z) - I||_1 of Eq. 11: mean absolute error of decoded views (B, 3, H, W)."""
    return (decoded - images).abs().mean()


def alignment_loss(training: Tensor, novel: Tensor, options: DecoderTrainingConfig) -> Tensor:
    """L_StageIII, Eq. 11, from the losses of views that fields were fitted to, and of novel views."""
    return options.train_weight * training + options.novel_weight * novel


def preservation_loss(decoded: Tensor, original: Tensor) -> Tensor:
    """Mean squared distance of encoded latents' decodings (B, 3, H, W) to what the original decoder makes of them.

    Not of the paper. Images in place of the original decodings would pull the decoder towards the scenes it is trained
    on, at the expense of others.
    """
    return (decoded - original).square().mean()
