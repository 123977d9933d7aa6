"""The best linear patch codec: the yardstick for small autoencoders, and their starting point."""

from __future__ import annotations

import torch
from torch import Tensor


def patches_of(images: Tensor, *, factor: int) -> Tensor:
    """Non-overlapping patches (P, 3 * factor^2) of images (B, 3, H, W)."""
    columns = torch.nn.functional.unfold(images, kernel_size=factor, stride=factor)
    return columns.transpose(1, 2).reshape(-1, 3 * factor**2)


def principal_components(images: Tensor, *, factor: int, channels: int) -> tuple[Tensor, Tensor]:
    """Mean patch (3, f, f) and leading principal directions (channels, 3, f, f) of images (B, 3, H, W)."""
    patches = patches_of(images, factor=factor).double()
    mean = patches.mean(dim=0)
    centred = patches - mean
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    basis = vectors.flip(1)[:, :channels].T
    # Eigenvectors have no sign of their own: fix one, so that equal data give equal codecs everywhere.
    sums = basis.sum(dim=1, keepdim=True)
    basis = torch.where(sums < 0, -basis, basis)
    shape = (3, factor, factor)
    return mean.float().reshape(shape), basis.float().reshape(channels, *shape)


def linear_reconstruction(images: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Images (B, 3, H, W) projected on the codec's subspace, patch by patch; not clamped.

    `mean` (3, f, f) and `basis` (channels, 3, f, f) are what `principal_components` returns.
    """
    factor = mean.shape[-1]
    tiled = mean.repeat(1, images.shape[2] // factor, images.shape[3] // factor)
    codes = torch.nn.functional.conv2d(images - tiled, basis, stride=factor)
    decoded: Tensor = torch.nn.functional.conv_transpose2d(codes, basis, stride=factor) + tiled
    return decoded


def balanced_rotation(channels: int) -> Tensor:
    """Orthogonal (C, C) matrix, the discrete cosine transform, that spreads variance over all channels.

    Principal components have very unequal variances; normalised per channel they would give noise-like details the
    weight of the mean colour. After this rotation every channel has a similar variance, so that distances between
    normalised latents stay close to distances between images.
    """
    k = torch.arange(channels, dtype=torch.float64)
    matrix = torch.cos(torch.pi * (k[None] + 0.5) * k[:, None] / channels) * (2 / channels) ** 0.5
    matrix[0] /= 2**0.5
    rotation: Tensor = matrix.T.float()
    return rotation
