"""The decoder in bfloat16: near to float32, chosen where the processor has it, and nothing else is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from helpers.tiny import TINY_FIT
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.devices import has_bfloat16, uses_bfloat16
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import DecoderPrecision
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.scenes.scene import Scene

CPU = torch.device("cpu")


def aligned(scene: Scene, autoencoder: Autoencoder, precision: DecoderPrecision) -> LatentNerfTrainer:
    config = replace(TINY_FIT.with_steps(supervision=1, alignment=1), decoder_precision=precision)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(2):
        trainer.step(index, index / 2)
    return trainer


def gradients(trainer: LatentNerfTrainer) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def test_a_step_in_bfloat16_is_near_to_one_in_float32(scene: Scene, autoencoder: Autoencoder) -> None:
    half, single = (aligned(scene, autoencoder, name) for name in ("bfloat16", "float32"))
    assert all(parameter.dtype == torch.float32 for parameter in half.model.parameters())
    a, b = gradients(half), gradients(single)
    assert not torch.equal(a, b)
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.995


def test_evaluation_stays_in_float32(scene: Scene, autoencoder: Autoencoder) -> None:
    half = aligned(scene, autoencoder, "bfloat16")
    features = half._targets(torch.tensor([0]))
    inside = half._decode(features)
    outside = half.model.decode(features)
    assert inside.dtype == outside.dtype == torch.float32
    assert 0 < (inside - outside).abs().max() < 0.05


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False), ({}, False)],
)
def test_auto_asks_the_processor(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert has_bfloat16(CPU) is expected
    assert uses_bfloat16("auto", CPU) is expected
    assert uses_bfloat16("bfloat16", CPU)
    assert not uses_bfloat16("float32", CPU)


def test_versions_that_do_not_tell_keep_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not uses_bfloat16("auto", CPU)
