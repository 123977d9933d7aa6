"""Noise on latents, so that autoencoders cannot hide what they know in small differences. Ours, beyond the papers.

What asks latents to agree between views is satisfied soonest where detail is coded in amplitudes so small that its
disagreement hardly counts; a decoder amplifies them again, and with them every error of a field. Variational
autoencoders are kept from that by the width of their posterior. This is the same for deterministic ones.

Shape suffixes: B images, C latent channels, h, w latent size.
"""

from __future__ import annotations

import torch
from torch import Tensor


def latent_noise(shape: tuple[int, int, int, int], *, strongest: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise of `shape` (B, C, h, w), on the CPU: for every image a deviation of its own, 0 to `strongest`.

    Uniformly spread strengths let a decoder stay sharp where latents are exact.
    """
    strength = strongest * torch.rand(shape[0], 1, 1, 1, generator=generator)
    return strength * torch.randn(shape, generator=generator)
