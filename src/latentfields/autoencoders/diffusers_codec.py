"""Adapter for the autoencoders of the diffusers library, an extra (`pip install latentfields[diffusers]`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentfields.errors import InputError

SUPPORTED_CLASSES = ("AutoencoderKL", "AutoencoderTiny")


class DiffusersCodec(nn.Module):
    """An `AutoencoderKL` or `AutoencoderTiny`: both work on images in [-1, 1], ours are in [0, 1].

    Latents are the raw output of the encoder: no scaling factor, since `Autoencoder` normalises by channel.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        if type(model).__name__ not in SUPPORTED_CLASSES:
            raise InputError(
                type(model).__name__, f"not supported; expected one of {', '.join(SUPPORTED_CLASSES)}"
            )
        self.model = model
        with torch.no_grad():
            probe = self.encode(torch.zeros(1, 3, 64, 64, dtype=model.dtype, device=model.device))[0]
        self._channels, self._factor = probe.shape[1], 64 // probe.shape[2]

    @property
    def channels(self) -> int:
        """Latent channels, found by encoding a probe image."""
        return self._channels

    @property
    def factor(self) -> int:
        """Pixels per latent along one side, found by encoding a probe image."""
        return self._factor

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Posterior mean and log-variance (None for AutoencoderTiny) of images (B, 3, H, W) in [0, 1]."""
        out = self.model.encode(images * 2 - 1)
        if hasattr(out, "latent_dist"):
            return out.latent_dist.mean, out.latent_dist.logvar
        return out.latents, None

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W), nominally in [0, 1], of raw latents."""
        images: Tensor = self.model.decode(latents).sample / 2 + 0.5
        return images

    def encoder_module(self) -> nn.Module:
        """The encoder with its `quant_conv`, where there is one."""
        return self._with("encoder", "quant_conv")

    def decoder_module(self) -> nn.Module:
        """The decoder with its `post_quant_conv`, where there is one."""
        return self._with("decoder", "post_quant_conv")

    def _with(self, *names: str) -> nn.Module:
        parts = [getattr(self.model, name, None) for name in names]
        return nn.ModuleList([part for part in parts if part is not None])

    def save(self, folder: Path) -> None:
        """Write the model as diffusers does: `config.json` and safetensors."""
        self.model.save_pretrained(folder, safe_serialization=True)


def load_diffusers(name_or_folder: str, class_name: str | None = None) -> DiffusersCodec:
    """Load a diffusers autoencoder from a folder or, by its Hub id, from the local cache or the Hub.

    Raises InputError when diffusers is not installed, the class is not supported or the files cannot be had.
    """
    try:
        import diffusers
    except ImportError:
        raise InputError(
            name_or_folder,
            "needs the diffusers library; install it with: pip install 'latentfields[diffusers]'",
        ) from None
    names = (class_name,) if class_name else SUPPORTED_CLASSES
    problem: Exception | None = None
    for name in names:
        for subfolder in (None, "vae"):
            try:
                model = getattr(diffusers, name).from_pretrained(
                    name_or_folder, subfolder=subfolder, use_safetensors=True
                )
                return DiffusersCodec(model.eval())
            except (OSError, ValueError, RuntimeError) as error:
                problem = problem or error
    raise InputError(name_or_folder, f"cannot be loaded as a diffusers autoencoder ({_first_line(problem)})")


def _first_line(error: Exception | None) -> str:
    return str(error).strip().splitlines()[0] if error and str(error).strip() else type(error).__name__
