"""Text-conditioned priors with random weights, built from configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from helpers.pipelines import (
    FLOWS,
    FLUX_SCALING,
    FLUX_SHIFT,
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
    encode_texts,
    is_pipeline,
    levels,
    load_text_prior,
    packed,
    unpacked,
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


@pytest.mark.parametrize("kind", KINDS)
def test_networks_of_half_precision_tell_about_the_same(kind: str) -> None:
    noisy = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    exact, half = (
        PipelineDenoiser(tiny_network(kind).to(dtype), scheduler_config(kind), source=kind).noise(
            noisy, torch.tensor([100, 800]), texts()
        )
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, atol=0.05, rtol=0.05)


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


@pytest.mark.parametrize("kind", ["exponential", "linear"])
def test_levels_that_depend_on_the_size_are_those_of_the_largest(kind: str) -> None:
    config = scheduler_config("FluxPipeline") | {"time_shift_type": kind}
    _, schedule, times = levels(config, source="test")
    scheduler: Any = diffusers.FlowMatchEulerDiscreteScheduler
    config.pop("_use_default_values", None)
    theirs = scheduler.from_config(config)
    # A picture of 1024 pixels has 128 latents along each side, and 4096 patches: the most that the scheduler knows.
    theirs.set_timesteps(1000, mu=config["max_shift"])
    torch.testing.assert_close(schedule.sigma, theirs.sigmas[:-1].flip(0).clamp(max=0.999), atol=1e-5, rtol=0)
    torch.testing.assert_close(times, schedule.sigma * 1000)
    # FLUX.1-schnell is not shifted at all.
    even = levels(config | {"use_dynamic_shifting": False, "shift": 1.0}, source="test")[1]
    torch.testing.assert_close(even.sigma[:-1], torch.arange(1, 1000) / 1000)


def test_patches_are_packed_row_by_row() -> None:
    latents = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6).float()
    patches = packed(latents)
    assert patches.shape == (2, 6, 12)
    # The second patch of the first row: the channels one after the other, each with its own four latents.
    torch.testing.assert_close(patches[1, 1], latents[1, :, :2, 2:4].flatten())
    torch.testing.assert_close(patches[1, 3], latents[1, :, 2:, :2].flatten())
    torch.testing.assert_close(unpacked(patches, height=4, width=6), latents)


def test_patches_are_those_of_diffusers() -> None:
    pytest.importorskip("transformers", reason="needs transformers, the extra `diffusion`")
    pipeline: Any = diffusers.FluxPipeline
    latents = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    patches = pipeline._pack_latents(latents, 2, 3, 4, 6)
    torch.testing.assert_close(packed(latents), patches)
    theirs = pipeline._unpack_latents(patches, 4 * 8, 6 * 8, 8)
    torch.testing.assert_close(unpacked(patches, height=4, width=6), theirs)


@pytest.mark.parametrize("distilled", [True, False])
def test_noise_of_flux_is_what_its_velocity_says(distilled: bool) -> None:
    """e = x_t + (1 - sigma) u; the network is told sigma, the places of patches, and no guidance above 1."""
    network = tiny_network("FluxPipeline", distilled=distilled)
    denoiser = PipelineDenoiser(network, scheduler_config("FluxPipeline"), source="test")
    noisy = torch.randn(2, 4, 4, 6, generator=torch.Generator().manual_seed(2))
    times = torch.tensor([7, 500])
    sigma = denoiser.schedule.sigma[times]
    places = [[0, row, column] for row in range(2) for column in range(3)]
    with torch.no_grad():
        velocity = network(
            packed(noisy),
            timestep=sigma,
            guidance=torch.ones(2) if distilled else None,
            encoder_hidden_states=texts().embeddings,
            pooled_projections=texts().pooled,
            txt_ids=torch.zeros(TOKENS, 3),
            img_ids=torch.tensor(places).float(),
        ).sample
    expected = noisy + (1 - sigma).view(2, 1, 1, 1) * unpacked(velocity, height=4, width=6)
    torch.testing.assert_close(denoiser.noise(noisy, times, texts()), expected)


@pytest.mark.parametrize("kind", FLOWS)
def test_latents_that_no_patches_fill_are_refused(kind: str) -> None:
    denoiser = PipelineDenoiser(tiny_network(kind), scheduler_config(kind), source=kind)
    with pytest.raises(ArgumentError, match="noisy: has 8x7 latents; expected multiples of 2"):
        denoiser.noise(torch.zeros(2, 4, 8, 7), torch.tensor([7, 500]), texts())


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
    # FLUX does not say its size.
    assert prior.side == (128 if kind == "FluxPipeline" else 8)
    assert prior.autoencoder.factor == 4
    assert prior.step == (8 if kind in FLOWS else 4)
    # Normalised latents are raw ones, less the shift, times the scaling factor.
    raw = torch.randn(1, 4, 8, 8)
    scaled = (raw - FLUX_SHIFT) * FLUX_SCALING if kind == "FluxPipeline" else raw * 0.18215
    torch.testing.assert_close(prior.autoencoder.normalized(raw), scaled, atol=1e-4, rtol=1e-4)


def test_a_prompt_without_a_text_model_is_refused(tmp_path: Path) -> None:
    prior = load_text_prior(str(write_pipeline(tmp_path / "pipeline")), device=CPU)
    with pytest.raises(ArgumentError, match=r"prompt: is of no use for .*, which has no text encoder"):
        prior.encoded(["a vase"])


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_encoded(kind: str, tmp_path: Path) -> None:
    """By text encoders of random weights; the network takes what they say."""
    pytest.importorskip("transformers", reason="needs transformers, the extra `diffusion`")
    name = str(write_pipeline(tmp_path / "pipeline", kind, texts=True))
    found = encode_texts(name, ["a vase", "a bowl"])
    assert len(found.embeddings) == 2
    assert found.embeddings.shape[2] == WIDTH
    assert not torch.equal(found.embeddings[0], found.embeddings[1])
    assert (found.pooled is None) == (kind == "StableDiffusionPipeline")
    if found.pooled is not None:
        assert found.pooled.shape == (2, 16)
    denoiser = load_text_prior(name, device=CPU).denoiser
    noisy = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    assert denoiser.noise(noisy, torch.tensor([100, 800]), found).isfinite().all()


def test_unknown_kinds_are_refused(tmp_path: Path) -> None:
    folder = write_pipeline(tmp_path / "pipeline")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "PixArtAlphaPipeline"}))
    with pytest.raises(InputError, match="field '_class_name' is 'PixArtAlphaPipeline'; expected one of St"):
        load_text_prior(str(folder), device=CPU)
    with pytest.raises(InputError, match="field 'prediction_type' is 'sample'; expected epsilon or v_pred"):
        levels(scheduler_config(KINDS[0], prediction="sample"), source="test")


def test_what_looks_like_a_pipeline(tmp_path: Path) -> None:
    assert is_pipeline("owner/name")
    assert not is_pipeline("objects")
    assert not is_pipeline(tmp_path)
    assert not is_pipeline("/absolute/name")
