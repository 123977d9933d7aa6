import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.diffusers_codec import DiffusersCodec
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import InputError

# The library and what it imports have deprecations of their own.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    diffusers = pytest.importorskip("diffusers")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def small_kl(**changes: Any) -> Any:
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "block_out_channels": (8, 8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "latent_channels": 5,
    }
    return diffusers.AutoencoderKL(**options | changes).eval()


def small_tiny() -> Any:
    torch.manual_seed(0)
    return diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8), latent_channels=3
    ).eval()


def pictures(count: int = 2, *, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("make", "channels", "factor"),
    [(small_kl, 5, 4), (small_tiny, 3, 8), (lambda: small_kl(use_quant_conv=False, latent_channels=2), 2, 4)],
)
def test_channels_and_factor_are_found(make: Any, channels: int, factor: int) -> None:
    codec = DiffusersCodec(make())
    assert (codec.channels, codec.factor) == (channels, factor)
    latents, _ = codec.encode(pictures())
    assert latents.shape == (2, channels, 32 // factor, 32 // factor)
    assert codec.decode(latents).shape == (2, 3, 32, 32)


@torch.no_grad()
@pytest.mark.parametrize("make", [small_kl, small_tiny])
def test_images_in_zero_to_one_are_what_the_model_sees_in_minus_one_to_one(make: Any) -> None:
    model = make()
    codec, images = DiffusersCodec(model), pictures()
    encoded = model.encode(2 * images - 1)
    mean, log_variance = codec.encode(images)
    if make is small_kl:
        torch.testing.assert_close(mean, encoded.latent_dist.mode())
        assert log_variance is not None
        torch.testing.assert_close((0.5 * log_variance).exp(), encoded.latent_dist.std)
    else:
        torch.testing.assert_close(mean, encoded.latents)
        assert log_variance is None
    torch.testing.assert_close(codec.decode(mean), (model.decode(mean).sample + 1) / 2)


def test_the_range_of_the_tiny_model_is_that_of_its_weights() -> None:
    """With every convolution silenced its decoder is black in its own [-1, 1]: 0 in ours."""
    model = small_tiny()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.zero_()
        assert DiffusersCodec(model).decode(torch.zeros(1, 3, 2, 2)).abs().max() == 0


@pytest.mark.parametrize("make", [small_kl, small_tiny])
def test_encoder_and_decoder_parameters_are_all_and_disjoint(make: Any) -> None:
    autoencoder = Autoencoder(DiffusersCodec(make()), None, name="d")
    encoder = {id(p) for p in autoencoder.encoder_parameters()}
    decoder = {id(p) for p in autoencoder.decoder_parameters()}
    assert not encoder & decoder
    assert encoder | decoder == {id(p) for p in autoencoder.parameters()}


@pytest.mark.parametrize("make", [small_kl, small_tiny])
def test_our_folder_loads_again_and_in_diffusers(
    make: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = Autoencoder(DiffusersCodec(make()), None, name="d")
    images = pictures()
    made.set_statistics(made.measure_statistics(images))
    made.save(tmp_path)
    capfd.readouterr()
    loaded = load_autoencoder(tmp_path)
    assert capfd.readouterr().err == "", "no advice of the library on the screen"
    assert loaded.statistics == made.statistics
    latents = made.encode_batches(images)
    assert torch.equal(loaded.encode_batches(images), latents)
    assert torch.equal(loaded.decode_batches(latents), made.decode_batches(latents))
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".json", ".safetensors"]
    theirs = type(make()).from_pretrained(tmp_path, low_cpu_mem_usage=False)
    assert isinstance(DiffusersCodec(theirs).channels, int)


def test_statistics_in_the_models_own_configuration_are_used(tmp_path: Path) -> None:
    statistics = {"latents_mean": [0.1] * 5, "latents_std": [2.0] * 5}
    small_kl(**statistics).save_pretrained(tmp_path)
    loaded = load_autoencoder(tmp_path)
    assert loaded.has_statistics
    assert loaded.statistics.mean == pytest.approx((0.1,) * 5)
    assert loaded.statistics.std == pytest.approx((2.0,) * 5)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"latents_std": [1.0]}))
    with pytest.raises(InputError, match=r"config\.json: latent std should be a list of 5 numbers"):
        load_autoencoder(tmp_path)


@pytest.mark.parametrize("damage", ["missing", "truncated", "lengthened", "other weights", "bad field"])
def test_damaged_folders_get_one_line(tmp_path: Path, damage: str) -> None:
    small_kl().save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    if damage == "missing":
        weights.unlink()
    elif damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "lengthened":
        os.truncate(weights, 2**36)  # Whoever reads it whole has no memory left.
    elif damage == "other weights":
        small_kl(latent_channels=4).save_pretrained(tmp_path / "other")
        weights.write_bytes((tmp_path / "other" / weights.name).read_bytes())
    else:
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | {"latent_channels": "five"}))
    with pytest.raises(InputError, match="cannot be loaded as a diffusers autoencoder") as caught:
        load_autoencoder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "largest"),
    [("num_encoder_blocks", [1, 101], 100), ("upsampling_scaling_factor", 200, 16), ("act_fn", 10**6, 4096)],
)
def test_settings_that_no_autoencoder_has_are_refused(
    tmp_path: Path, field: str, value: object, largest: int
) -> None:
    small_tiny().save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {field: value}))
    with pytest.raises(InputError, match=f"field '{field}' is .*; expected numbers up to {largest}$"):
        load_autoencoder(tmp_path)


@pytest.mark.slow
def test_when_the_hub_does_not_answer_the_cache_is_used_and_anything_else_is_one_line(tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--someone--vae"
    commit = 4 * "0123456789"
    small_kl().save_pretrained(cached / "snapshots" / commit / "vae")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    program = (
        "import time, warnings\n"
        "from latentfields.autoencoders.load import load_autoencoder\n"
        "with warnings.catch_warnings():\n"
        "    warnings.simplefilter('ignore')\n"
        "    from diffusers import AutoencoderKL\n"
        "started = time.perf_counter()\n"
        "autoencoder = load_autoencoder('someone/vae')\n"
        "print(autoencoder.channels, autoencoder.factor)\n"
        "try:\n"
        "    load_autoencoder('someone/else')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "print(time.perf_counter() - started)\n"
    )
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    found, message, seconds = done.stdout.splitlines()
    assert found == "5 4"
    assert message.startswith(
        "someone/else: is not in the local cache, and the Hub does not answer; packaged"
    )
    assert done.stderr == ""
    # The library itself would try for more than a minute.
    assert float(seconds) < 30


def reconstructed(folder: Path) -> Tensor:
    autoencoder = load_autoencoder(folder)
    images = pictures()
    autoencoder.renew_statistics(images)
    return autoencoder.decode_batches(autoencoder.encode_batches(images))


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["fp16", "bf16"])
@pytest.mark.parametrize("shards", [False, True])
def test_weights_of_half_precision_alone_are_found(tmp_path: Path, variant: str, shards: bool) -> None:
    precision = torch.float16 if variant == "fp16" else torch.bfloat16
    size = {"max_shard_size": "20KB"} if shards else {}
    small_kl().to(precision).save_pretrained(tmp_path, variant=variant, **size)
    names = [path.name for path in tmp_path.iterdir()]
    assert "diffusion_pytorch_model.safetensors" not in names
    assert (len(names) > 2) == shards
    loaded = load_autoencoder(tmp_path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert (loaded.channels, loaded.factor) == (5, 4)
    small_kl().save_pretrained(tmp_path / "full")
    torch.testing.assert_close(reconstructed(tmp_path), reconstructed(tmp_path / "full"), atol=0.05, rtol=0)


def test_full_precision_is_preferred_to_a_variant(tmp_path: Path) -> None:
    small_kl().save_pretrained(tmp_path)
    (tmp_path / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"not these")
    assert load_autoencoder(tmp_path).channels == 5


def test_of_a_pipelines_folder_the_part_vae_is_taken(tmp_path: Path) -> None:
    statistics = {"latents_mean": [0.1] * 5, "latents_std": [2.0] * 5}
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(InputError, match=r"has no config\.json; expected an autoencoder's folder"):
        load_autoencoder(tmp_path)
    small_kl(**statistics).half().save_pretrained(tmp_path / "vae", variant="fp16")
    for name in (tmp_path, str(tmp_path)):
        loaded = load_autoencoder(name)
        assert loaded.name == str(tmp_path)
        assert loaded.statistics.std == pytest.approx((2.0,) * 5)


@pytest.mark.parametrize(
    ("channels", "field"),
    [
        ({"in_channels": 1, "out_channels": 1}, "in_channels"),
        ({"in_channels": 4, "out_channels": 4}, "in_channels"),
        ({"out_channels": 4}, "out_channels"),
    ],
)
def test_other_than_three_channels_are_refused_in_one_line(
    tmp_path: Path, channels: dict[str, int], field: str
) -> None:
    model = small_kl(**channels)
    model.save_pretrained(tmp_path)
    expected = rf"field '{field}' is {channels[field]}; expected 3: an autoencoder of RGB images"
    with pytest.raises(InputError, match=rf"{tmp_path}: {expected}") as caught:
        load_autoencoder(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=f"model: {expected}"):
        DiffusersCodec(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_weights_that_are_not_finite_are_named(tmp_path: Path, part: str, value: float) -> None:
    model = small_kl()
    with torch.no_grad():
        getattr(model, part).conv_in.weight[0, 0, 0, 0] = value
    model.save_pretrained(tmp_path)
    expected = rf"the autoencoder's weights 'model\.{part}\.conv_in\.weight' are not finite"
    with pytest.raises(InputError, match=rf"{tmp_path}: {expected}"):
        load_autoencoder(tmp_path)


@pytest.mark.parametrize(("part", "what"), [("encoder", "latents"), ("decoder", "reconstructions")])
def test_results_that_are_not_finite_are_told_of_the_autoencoder(
    tmp_path: Path, part: str, what: str
) -> None:
    model = small_kl()
    with torch.no_grad():
        getattr(model, part).conv_out.weight.fill_(3e38)
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=f"{tmp_path}: the autoencoder gives {what} that are not finite"):
        load_autoencoder(tmp_path)


@pytest.mark.parametrize("make", [small_kl, small_tiny])
def test_tiled_sliced_and_half_models_give_what_whole_ones_give(make: Any) -> None:
    plain, images = DiffusersCodec(make()), pictures(3, size=64)
    model = make()
    model.enable_slicing()
    model.enable_tiling()
    # Tiles that are smaller than the images.
    model.tile_sample_min_size, model.tile_latent_min_size = 32, 8
    tiled = DiffusersCodec(model)
    half = DiffusersCodec(make().half())
    with torch.no_grad():
        latents = plain.encode(images)[0]
        decoded = plain.decode(latents)
        torch.testing.assert_close(tiled.encode(images)[0], latents)
        torch.testing.assert_close(tiled.decode(latents), decoded)
        torch.testing.assert_close(half.encode(images)[0], latents, atol=0.05, rtol=0.05)
