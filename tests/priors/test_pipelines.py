"""Text-conditioned priors with random weights, built from configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from helpers.pipelines import (
    KINDS,
    TOKENS,
    WIDTH,
    scheduler_config,
    tiny_network,
    write_pipeline,
)
from latentfields.errors import ArgumentError, InputError
from latentfields.priors.pipelines import (
    PipelineDenoiser,
    TextCondition,
    is_pipeline,
    levels,
    load_text_prior,
)

SHAPE = (2, 4, 8, 8)
CPU = torch.device("cpu")


def texts() -> TextCondition:
    generator = torch.Generator().manual_seed(0)
    return TextCondition(
        torch.randn(2, TOKENS, WIDTH, generator=generator), torch.randn(2, 16, generator=generator)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_tells_noise(kind: str) -> None:
    denoiser = PipelineDenoiser(tiny_network(kind), scheduler_config(kind), source=kind)
    noisy = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)).requires_grad_()
    times = torch.tensor([100, 800])
    noise = denoiser.noise(noisy, times, texts())
    assert noise.shape == SHAPE
    assert noise.isfinite().all()
    assert not noise.requires_grad
    assert all(parameter.grad is None for parameter in denoiser.network.parameters())
    other = TextCondition(texts().embeddings * -1, texts().pooled)
    assert not torch.equal(denoiser.noise(noisy, times, other), noise)


def test_levels_are_those_of_the_scheduler() -> None:
    config = scheduler_config(KINDS[0])
    kind, schedule, times = levels(config, source="test")
    scheduler: Any = diffusers.DDPMScheduler
    theirs = scheduler.from_config(config).alphas_cumprod
    assert kind == "epsilon"
    torch.testing.assert_close(schedule.alpha.square(), theirs, atol=1e-6, rtol=0)
    assert times.tolist() == list(range(1000))
    assert levels(scheduler_config(KINDS[0], prediction="v_prediction"), source="test")[0] == "v"


def test_levels_of_a_flow_are_shifted_as_its_scheduler_does() -> None:
    config = scheduler_config(KINDS[2])
    kind, schedule, times = levels(config, source="test")
    assert kind == "flow"
    torch.testing.assert_close(schedule.alpha + schedule.sigma, torch.ones(1000))
    scheduler: Any = diffusers.FlowMatchEulerDiscreteScheduler
    theirs = scheduler.from_config(config).sigmas.flip(0)
    torch.testing.assert_close(schedule.sigma, theirs.clamp(max=0.999), atol=1e-5, rtol=0)
    torch.testing.assert_close(times, schedule.sigma * 1000)


def test_epsilon_is_what_the_network_says() -> None:
    """No other scale, no other time: the denoiser of an epsilon pipeline returns its network's output."""
    network = tiny_network(KINDS[0])
    denoiser = PipelineDenoiser(network, scheduler_config(KINDS[0]), source="test")
    noisy, times = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2)), torch.tensor([7, 500])
    with torch.no_grad():
        expected = network(noisy, times, encoder_hidden_states=texts().embeddings).sample
    torch.testing.assert_close(denoiser.noise(noisy, times, texts()), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_loaded(kind: str, tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path / "pipeline", kind)
    assert is_pipeline(folder)
    prior = load_text_prior(str(folder), device=CPU)
    assert prior.side == 8
    assert prior.autoencoder.factor == 4
    # Normalised latents are raw ones times the scaling factor.
    raw = torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(prior.autoencoder.normalized(raw), raw * 0.18215, atol=1e-4, rtol=1e-4)


def test_a_prompt_without_a_text_model_is_refused(tmp_path: Path) -> None:
    prior = load_text_prior(str(write_pipeline(tmp_path / "pipeline")), device=CPU)
    with pytest.raises(ArgumentError, match=r"prompt: is of no use for .*, which has no text encoder"):
        prior.encoded(["a vase"])


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path / "pipeline")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(InputError, match="field '_class_name' is 'FluxPipeline'; expected one of Stable"):
        load_text_prior(str(folder), device=CPU)
    with pytest.raises(InputError, match="field 'prediction_type' is 'sample'; expected epsilon or v_pred"):
        levels(scheduler_config(KINDS[0], prediction="sample"), source="test")


def test_what_looks_like_a_pipeline(tmp_path: Path) -> None:
    assert is_pipeline("owner/name")
    assert not is_pipeline("objects")
    assert not is_pipeline(tmp_path)
    assert not is_pipeline("/absolute/name")
