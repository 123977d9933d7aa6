import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latentfields.autoencoders.config import PatchAutoencoderConfig
from latentfields.autoencoders.linear_codec import linear_reconstruction, principal_components
from latentfields.autoencoders.patch import CONFIG_FILE, WEIGHTS_FILE, PatchAutoencoder
from latentfields.errors import ArgumentError, InputError

SMALL = PatchAutoencoderConfig(channels=6, patch=2, widths=(8, 12), blocks=(1, 1))
CONFIGS = [
    SMALL,
    PatchAutoencoderConfig(channels=3, patch=8, widths=(8,), blocks=(0,)),
    PatchAutoencoderConfig(channels=5, patch=2, widths=(4, 6, 8), blocks=(0, 1, 2)),
]


def network(config: PatchAutoencoderConfig = SMALL, *, seed: int = 0) -> PatchAutoencoder:
    torch.manual_seed(seed)
    return PatchAutoencoder(config)


def images(count: int = 2, *, size: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def shaken(model: PatchAutoencoder) -> PatchAutoencoder:
    """Every branch active: some weights start at zero."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"factor {c.factor}")
def test_shapes_and_factor(config: PatchAutoencoderConfig) -> None:
    model = network(config)
    pictures = torch.rand(2, 3, 2 * config.factor, 3 * config.factor)
    latents, log_variance = model.encode(pictures)
    assert log_variance is None
    assert latents.shape == (2, config.channels, 2, 3)
    assert model.decode(latents).shape == pictures.shape
    assert (model.factor, model.channels) == (config.factor, config.channels)


def test_a_constant_image_has_a_constant_code_up_to_the_border() -> None:
    model = shaken(network())
    color = torch.tensor([0.2, 0.7, 0.4]).view(1, 3, 1, 1)
    latents, _ = model.encode(color.expand(1, 3, 32, 24))
    torch.testing.assert_close(latents, latents[:, :, :1, :1].expand_as(latents), atol=1e-5, rtol=0)
    larger, _ = model.encode(color.expand(1, 3, 64, 64))
    torch.testing.assert_close(larger[0, :, 5, 5], latents[0, :, 0, 0], atol=1e-5, rtol=0)


def test_a_shift_by_one_latent_shifts_the_code() -> None:
    model = shaken(network())
    wide = images(1, size=96)
    left, right = wide[..., :88], wide[..., 4:92]
    first, second = model.encode(left)[0], model.encode(right)[0]
    torch.testing.assert_close(first[..., 7:-6], second[..., 6:-7], atol=1e-5, rtol=0)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"factor {c.factor}")
def test_the_linear_start_is_the_linear_codec(config: PatchAutoencoderConfig) -> None:
    model, data = network(config), images(6, size=32)
    mean, basis = principal_components(data, factor=config.factor, channels=config.channels)
    model.initialise_linear(mean, basis)
    codes, _ = model.encode(data)
    tiled = mean.repeat(1, 32 // config.factor, 32 // config.factor)
    expected = torch.nn.functional.conv2d(data - tiled, basis, stride=config.factor)
    torch.testing.assert_close(codes, expected, atol=1e-5, rtol=0)
    # The decoder has one bias per colour: it keeps the mean colour, not the pattern of the mean patch.
    pattern = tiled - mean.mean(dim=(1, 2), keepdim=True)
    expected = linear_reconstruction(data, mean, basis) - pattern
    torch.testing.assert_close(model.decode(codes), expected, atol=1e-5, rtol=0)


def test_the_linear_start_is_exact_when_the_mean_patch_is_flat() -> None:
    data = images(4, size=32)
    data = torch.cat([data, 1 - data])
    model = network()
    mean, basis = principal_components(data, factor=4, channels=6)
    torch.testing.assert_close(mean, torch.full((3, 4, 4), 0.5))
    model.initialise_linear(mean, basis)
    decoded = model.decode(model.encode(data)[0])
    torch.testing.assert_close(decoded, linear_reconstruction(data, mean, basis), atol=1e-5, rtol=0)


def test_the_linear_start_still_learns_everywhere() -> None:
    model, data = network(), images(4, size=32)
    model.initialise_linear(*principal_components(data, factor=4, channels=6))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (model.decode(model.encode(data)[0]) - data).square().mean().backward()
        optimizer.step()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_a_variational_encoder_starts_certain_and_its_mean_is_the_linear_code() -> None:
    config = replace(SMALL, variational=True)
    data = images(6, size=32)
    mean, basis = principal_components(data, factor=4, channels=6)
    plain, variational = network(), network(config)
    plain.initialise_linear(mean, basis)
    variational.initialise_linear(mean, basis)
    codes, log_variance = variational.encode(data)
    torch.testing.assert_close(codes, plain.encode(data)[0])
    assert log_variance is not None
    torch.testing.assert_close(log_variance, torch.full_like(codes, -6.0))


@pytest.mark.parametrize("variational", [False, True], ids=["plain", "variational"])
@pytest.mark.parametrize(
    ("more", "channels"), [((0, 0), 0), ((1, 0), 0), ((0, 2), 0), ((3, 1), 0), ((0, 0), 1), ((1, 2), 5)]
)
def test_a_grown_network_is_the_same_function_and_learns_everywhere(
    more: tuple[int, int], channels: int, variational: bool
) -> None:
    start = replace(SMALL, variational=variational)
    model, data = shaken(network(start)), images()
    grown = model.grown(blocks=(1 + more[0], 1 + more[1]), channels=6 + channels)
    assert grown.config == replace(start, blocks=(1 + more[0], 1 + more[1]), channels=6 + channels)
    means, log_variances = model.encode(data)
    new_means, new_log_variances = grown.encode(data)
    torch.testing.assert_close(new_means[:, :6], means, rtol=0, atol=1e-6)
    assert new_means[:, 6:].any(dim=0).all()
    assert (log_variances is None) == (new_log_variances is None) == (not variational)
    if log_variances is not None and new_log_variances is not None:
        torch.testing.assert_close(new_log_variances[:, :6], log_variances, rtol=0, atol=1e-6)
    torch.testing.assert_close(grown.decode(new_means), model.decode(means), rtol=0, atol=1e-6)
    if not channels:  # The same products in the same order: to the last bit.
        assert torch.equal(new_means, means)
        assert torch.equal(grown.decode(means), model.decode(means))
    optimizer = torch.optim.SGD(grown.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        codes, spread = grown.encode(data)
        loss = (grown.decode(codes) - data).square().mean()
        (loss if spread is None else loss + spread.square().mean()).backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.any() for p in grown.parameters())
    decoding = grown.decoder.layers[0].weight.grad
    assert isinstance(decoding, Tensor)
    assert decoding.flatten(2).any(dim=2).all()


def test_what_is_not_given_stays_as_it_is() -> None:
    assert network().grown().config == SMALL
    assert network().grown(channels=7).config == replace(SMALL, channels=7)
    assert network().grown(blocks=(2, 1)).config == replace(SMALL, blocks=(2, 1))


def test_what_is_new_is_the_same_every_time() -> None:
    model = network()
    first, second = (model.grown(blocks=(2, 2), channels=8).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("blocks", [(0, 1), (1,), (1, 1, 1)])
def test_no_block_and_no_level_can_be_taken_away(blocks: tuple[int, ...]) -> None:
    with pytest.raises(
        ArgumentError, match=r"blocks: are .*; expected one number per level, at least \(1, 1\)"
    ):
        network().grown(blocks=blocks)


def test_no_channel_can_be_taken_away() -> None:
    with pytest.raises(ArgumentError, match="channels: are 5; expected at least 6"):
        network().grown(channels=5)


def test_a_rounded_network_is_nearly_the_same_and_takes_half_of_the_bytes(tmp_path: Path) -> None:
    model, data = shaken(network()), images()
    rounded = model.rounded()
    latents = model.encode(data)[0]
    torch.testing.assert_close(rounded.encode(data)[0], latents, rtol=1e-2, atol=1e-2)
    assert not torch.equal(rounded.encode(data)[0], latents)
    model.save(tmp_path / "whole")
    rounded.save(tmp_path / "half")
    sizes = [(tmp_path / name / WEIGHTS_FILE).stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.55 * sizes[1]
    loaded = PatchAutoencoder.load(tmp_path / "half")
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    assert torch.equal(loaded.encode(data)[0], rounded.encode(data)[0])
    # What half precision cannot hold stays as it is.
    with torch.no_grad():
        next(loaded.parameters())[0, 0, 0, 0] = 1e6
    loaded.save(tmp_path / "large")
    assert next(PatchAutoencoder.load(tmp_path / "large").parameters())[0, 0, 0, 0] == 1e6


@pytest.mark.parametrize("config", [*CONFIGS, replace(SMALL, variational=True)])
def test_save_and_load(config: PatchAutoencoderConfig, tmp_path: Path) -> None:
    model = shaken(network(config))
    model.save(tmp_path / "a")
    loaded = PatchAutoencoder.load(tmp_path / "a")
    assert loaded.config == config
    data = images(2, size=2 * config.factor)
    assert torch.equal(loaded.encode(data)[0], model.encode(data)[0])
    loaded.save(tmp_path / "b")
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"channels": "16"}, "field 'channels' is '16'; expected int"),
        ({"channels": 0}, "field 'channels' is 0; expected at least 1"),
        ({"channels": 10**9}, "field 'channels' is 1000000000; expected 1 to 48"),
        ({"patch": 0}, "field 'patch' is 0; expected 1 to 64"),
        ({"patch": 10**6}, "field 'patch' is 1000000; expected 1 to 64"),
        ({"widths": []}, "one entry per level each, at least one"),
        ({"widths": [8]}, "one entry per level each, at least one"),
        (
            {"widths": [8] * 8, "blocks": [1] * 8},
            "which makes the factor 256 with 8 levels; expected 1 to 64",
        ),
        ({"widths": [8, -1]}, "field 'widths' is -1; expected 1 to 4096"),
        ({"widths": [8, 10**9]}, "expected 1 to 4096"),
        ({"widths": "ab"}, "field 'widths' is 'ab'; expected a list"),
        ({"blocks": [1, 10**9]}, "0 to 1000"),
        ({"blocks": [1, -1]}, "field 'blocks' is -1; expected 0 to 1000"),
        ({"variational": 1}, "field 'variational' is 1; expected bool"),
        ({"depth": 1}, "unknown field 'depth'"),
    ],
)
def test_damaged_configurations_are_reported(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    network().save(tmp_path)
    path = tmp_path / CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=rf"config\.json: .*{problem}") as caught:
        PatchAutoencoder.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "3", "{", ""])
def test_configurations_that_are_no_object_are_reported(tmp_path: Path, text: str) -> None:
    network().save(tmp_path)
    (tmp_path / CONFIG_FILE).write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        PatchAutoencoder.load(tmp_path)


def test_weights_that_do_not_fit_are_reported(tmp_path: Path) -> None:
    network().save(tmp_path)
    network(replace(SMALL, widths=(8, 16))).save(tmp_path / "other")
    (tmp_path / WEIGHTS_FILE).write_bytes((tmp_path / "other" / WEIGHTS_FILE).read_bytes())
    with pytest.raises(InputError, match=r"model\.safetensors: does not fit config\.json") as caught:
        PatchAutoencoder.load(tmp_path)
    assert "\n" not in str(caught.value)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"model\.safetensors: not a readable"):
        PatchAutoencoder.load(tmp_path)
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: no such file"):
        PatchAutoencoder.load(tmp_path)


def test_the_configuration_file_lists_every_field(tmp_path: Path) -> None:
    network().save(tmp_path)
    written = json.loads((tmp_path / CONFIG_FILE).read_text())
    assert written.pop("_class_name") == "PatchAutoencoder"
    assert written == json.loads(json.dumps(asdict(SMALL)))


def test_default_architecture_is_small() -> None:
    size = sum(p.numel() for p in PatchAutoencoder(PatchAutoencoderConfig()).parameters())
    assert size * 4 < 10e6, "a few MB"
