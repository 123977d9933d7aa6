"""Pixels as a latent space of factor 1: what latents are compared with, by the same code."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from latentfields.autoencoders.patch import CLASS_FIELD, CONFIG_FILE
from latentfields.files import write_json


class PixelCodec(nn.Module):
    """A `Codec` without weights, whose latents are the pixels: three channels, one pixel for each."""

    channels = 3
    factor = 1

    def __init__(self) -> None:
        super().__init__()
        self._nothing = nn.Identity()

    def encode(self, images: Tensor) -> tuple[Tensor, None]:
        """The images (B, 3, H, W) themselves."""
        return images, None

    def decode(self, latents: Tensor) -> Tensor:
        """The latents (B, 3, H, W) themselves."""
        return latents

    def encoder_module(self) -> nn.Module:
        """A module without parameters."""
        return self._nothing

    def decoder_module(self) -> nn.Module:
        """A module without parameters."""
        return self._nothing

    def save(self, folder: Path) -> None:
        """Write `config.json`, which names the class."""
        write_json(folder / CONFIG_FILE, {CLASS_FIELD: type(self).__name__})

    @classmethod
    def load(cls, folder: Path) -> PixelCodec:
        """What `save` wrote holds nothing to read."""
        return cls()
