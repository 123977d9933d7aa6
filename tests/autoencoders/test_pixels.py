from __future__ import annotations

from pathlib import Path

import torch

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.pixels import PixelCodec


def test_pixels_are_an_autoencoder_like_any_other(tmp_path: Path) -> None:
    images = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    space = Autoencoder(PixelCodec(), LatentStatistics.of(images), name="pixels")
    space.save(tmp_path / "pixels")
    again = load_autoencoder(tmp_path / "pixels")
    assert (again.channels, again.factor) == (3, 1)
    latents = again.encode(images)
    assert latents.shape == images.shape
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.transpose(0, 1).flatten(1).std(dim=1), torch.ones(3))
    torch.testing.assert_close(again.decode(latents), images)
    torch.testing.assert_close(
        again.raw(again.background_latent((0.2, 0.4, 0.6)).view(1, 3, 1, 1)).flatten(),
        torch.tensor([0.2, 0.4, 0.6]),
    )
    assert not [*again.encoder_parameters(), *again.decoder_parameters()]
