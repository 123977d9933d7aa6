"""The learning rate of stage III."""

from __future__ import annotations

import math
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
