"""The learning rate of stage III, and the noise that its decoder goes on bearing."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.autoencoders import small_autoencoder
from latentfields.lrf.decoder.config import DecoderTrainingConfig
from latentfields.lrf.decoder.pairs import Pairs
from latentfields.lrf.decoder.trainer import DecoderAlignment
from latentfields.training.checkpoint import save_tensors


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    """Two views of 32 pixels, one of them novel."""
    path = tmp_path / "pairs.safetensors"
    latents = torch.zeros(2, 4, 8, 8, dtype=torch.float16)
    tensors = {
        "rendered": latents,
        "encoded": latents + 1,
        "images": torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
        "novel": torch.tensor([False, True]),
    }
    save_tensors(path, tensors, {})
    return Pairs([path], crop=32, factor=4)


@pytest.mark.parametrize("final", [0.1, 1.0])
def test_the_decoder_s_learning_rate_falls_along_a_cosine(pairs: Pairs, final: float) -> None:
    options = DecoderTrainingConfig(
        training_views=1, novel_views=1, crop=32, learning_rate=2e-3, final_learning_rate=final
    )
    trainer = DecoderAlignment(small_autoencoder(), pairs, options)
    for index, progress in enumerate((0.0, 0.25, 0.5, 1.0)):
        trainer.step(index, progress)
        (group,) = trainer.optimizer.param_groups
        expected = 2e-3 * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)
        assert group["lr"] == pytest.approx(expected)


def test_the_preservation_decodes_noise_as_the_original_decodes_none(pairs: Pairs) -> None:
    """Before the first step both decoders are one: what is between them is the noise of the generator's first draw."""
    options = DecoderTrainingConfig(training_views=1, novel_views=1, crop=32, seed=3)
    still = DecoderAlignment(small_autoencoder(), pairs, options).step(0, 0.0)
    assert still["preservation"] == 0.0

    trainer = DecoderAlignment(small_autoencoder(), pairs, replace(options, latent_noise=0.4))
    generator = torch.Generator().manual_seed(3)
    batch = pairs.batch(training=1, novel=1, generator=generator)
    noise = (
        0.4
        * torch.rand(2, 1, 1, 1, generator=generator)
        * torch.randn(batch.encoded.shape, generator=generator)
    )
    with torch.no_grad():
        decoded = [trainer.original.decode(batch.encoded + extra) for extra in (noise, torch.zeros(()))]
    expected = (decoded[0] - decoded[1]).square().mean().item()
    assert expected > 0
    assert trainer.step(0, 0.0)["preservation"] == pytest.approx(expected, rel=1e-4)
