"""Agreement of latents where two images show the same point, and the reconstruction that it costs.

Shape suffixes: B image pairs, K points of a pair, T points of all pairs, C latent channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.correspondences.losses import latents_at
from latentfields.correspondences.pair_batches import PairImages
from latentfields.measures.metrics import psnr

_SEED = 1
_POINTS = 512
_BATCH_PAIRS = 4


@dataclass(frozen=True)
class ViewConsistency:
    """Scores of an autoencoder on image pairs."""

    correspondence_error: float
    """Relative difference of corresponding latents: 0 is perfect, 1 is chance (`relative_difference`)."""
    reconstruction_psnr: float
    """Mean PSNR in dB of encoding and decoding the images."""


@torch.no_grad()
def view_consistency(autoencoder: Autoencoder, pairs: PairImages, *, count: int) -> ViewConsistency:
    """Scores on `count` image pairs, rounded up to fours: always the same ones of a data set."""
    first: list[Tensor] = []
    second: list[Tensor] = []
    quality: list[Tensor] = []
    for number in range(-(-count // _BATCH_PAIRS)):
        batch = pairs.batch(number, pairs=_BATCH_PAIRS, points=_POINTS, seed=_SEED).to(autoencoder.device)
        latents = autoencoder.encode(batch.images)
        for side, (values, half) in enumerate(zip((first, second), latents.chunk(2), strict=True)):
            found = latents_at(half, batch.positions[:, :, side], factor=autoencoder.factor)
            values.append(found[batch.shared])
        quality.append(psnr(autoencoder.decode(latents).clamp(0, 1), batch.images))
    return ViewConsistency(
        correspondence_error=float(relative_difference(torch.cat(first), torch.cat(second))),
        reconstruction_psnr=float(torch.cat(quality).mean()),
    )


def relative_difference(first: Tensor, second: Tensor) -> Tensor:
    """Mean |z_i - z_j| of corresponding latents (T, C), over that of latents that do not correspond: a scalar.

    Those are found by shifting one list against the other by half its length, so the ratio is 0 when views agree,
    about 1 when correspondence means nothing, and the same for latents of any scale.
    """
    unrelated = second.roll(len(second) // 2, dims=0)
    return (first - second).abs().mean() / (first - unrelated).abs().mean().clamp(min=1e-12)
