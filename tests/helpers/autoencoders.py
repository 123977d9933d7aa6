"""Autoencoders that need no training."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.config import PatchAutoencoderConfig
from latentfields.autoencoders.linear_codec import balanced_rotation, principal_components
from latentfields.autoencoders.patch import PatchAutoencoder
from latentfields.scenes.scene import Scene


def small_kl() -> Any:
    """An `AutoencoderKL` of diffusers with random weights: factor 4, four channels."""
    diffusers: Any = importlib.import_module("diffusers")

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 8, 8),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=32,
        )


def small_tiny() -> Any:
    """An `AutoencoderTiny` of diffusers with random weights: factor 4, four channels."""
    diffusers: Any = importlib.import_module("diffusers")

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return diffusers.AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8),
            decoder_block_out_channels=(8, 8, 8),
            num_encoder_blocks=(1, 1, 1),
            num_decoder_blocks=(1, 1, 1),
            latent_channels=4,
        )


def linear_autoencoder(images: Tensor, *, config: PatchAutoencoderConfig) -> Autoencoder:
    """An autoencoder that is the best linear patch codec of `images`, with their latent statistics."""
    torch.manual_seed(0)
    network = PatchAutoencoder(config)
    mean, basis = principal_components(images, factor=config.factor, channels=config.channels)
    rotation = balanced_rotation(config.channels)
    network.initialise_linear(mean, torch.einsum("cd,dxyz->cxyz", rotation, basis))
    autoencoder = Autoencoder(network, None, name="linear")
    autoencoder.set_statistics(autoencoder.measure_statistics(images))
    return autoencoder.eval()


def scene_autoencoder(scene: Scene) -> Autoencoder:
    """Eight channels, factor 4: small enough for a loss that the decoder's alignment can win back."""
    config = PatchAutoencoderConfig(channels=8, patch=4, widths=(16,), blocks=(1,))
    return linear_autoencoder(scene.images(scene.indices("train")), config=config)


def plain_autoencoder(scene: Scene) -> Autoencoder:
    """Channels: 32, factor 8: in the place of `base` where whole studies run, of which it took half of the time."""
    config = PatchAutoencoderConfig(channels=32, patch=8, widths=(16,), blocks=(1,))
    return linear_autoencoder(scene.images(scene.indices("train")), config=config)


def small_autoencoder(*, seed: int = 0, variational: bool = False) -> Autoencoder:
    """Factor 4, four channels, random weights."""
    config = PatchAutoencoderConfig(
        channels=4, patch=2, widths=(8, 8), blocks=(1, 1), variational=variational
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        codec = PatchAutoencoder(config)
        for parameter in codec.parameters():  # Residual branches start at zero, which would hide gradients.
            parameter.data += 0.05 * torch.randn_like(parameter)
    return Autoencoder(codec.eval(), LatentStatistics((0.1,) * 4, (0.5,) * 4), name="small")
