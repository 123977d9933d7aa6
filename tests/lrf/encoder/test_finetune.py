from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.autoencoders import small_autoencoder
from helpers.correspondence_data import CONFIG, LOOP, make_dataset, with_weights
from latentfields.autoencoders import losses
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.diffusers_codec import DiffusersCodec
from latentfields.autoencoders.image_data import TrainingImages, load_training_images
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.patch import PatchAutoencoder
from latentfields.correspondences.files import open_dataset
from latentfields.correspondences.pair_batches import PairImages
from latentfields.errors import InputError
from latentfields.lrf.encoder import trainer as encoder_trainer
from latentfields.lrf.encoder.config import DiscriminatorConfig, EncoderTrainingConfig
from latentfields.lrf.encoder.finetune import finetune_encoder
from latentfields.lrf.encoder.trainer import EncoderTrainer
from latentfields.lrf.encoder.view_consistency import relative_difference, view_consistency
from latentfields.measures.perceptual import Unavailable
from latentfields.training.loop import Interrupted, read_log


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `correspondences` and the autoencoders `base` and `vae`."""
    folder = tmp_path_factory.mktemp("lrf")
    make_dataset(folder)
    small_autoencoder().save(folder / "base")
    small_autoencoder(variational=True).save(folder / "vae")
    return folder


@pytest.fixture(scope="module")
def pairs(data: Path) -> PairImages:
    return PairImages(open_dataset(data / "correspondences"), size=32, factor=4)


def finetune(data: Path, out: Path, config: EncoderTrainingConfig = CONFIG, **changes: Any) -> Autoencoder:
    options: dict[str, Any] = {
        "autoencoder": data / "base",
        "correspondences": [data / "correspondences"],
        "held_out": [],
        "loop": LOOP,
    } | changes
    return finetune_encoder(config, out=out, **options)


def gradient_norms(
    pairs: PairImages, config: EncoderTrainingConfig, *, variational: bool = False
) -> tuple[float, float]:
    """Of the encoder and of the decoder after one step of the losses in `config`."""
    autoencoder = small_autoencoder(variational=variational)
    trainer = EncoderTrainer(autoencoder, pairs, config)
    batch = pairs.batch(0, pairs=2, points=40, seed=0)
    # At the original itself the gradient of the distance to it is zero.
    with torch.no_grad():
        for parameter in autoencoder.parameters():
            parameter.add_(0.01)
    trainer.loss(batch, config.steps)[0].backward()
    assert all(p.grad is None for p in trainer.original.parameters())
    encoder, decoder = (
        sum(float(p.grad.abs().sum()) for p in part if p.grad is not None)
        for part in (autoencoder.encoder_parameters(), autoencoder.decoder_parameters())
    )
    return encoder, decoder


def without_reconstruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        encoder_trainer, "reconstruction_terms", lambda decoded, *_, **__: (decoded.sum() * 0,) * 2
    )


@pytest.mark.parametrize(
    ("weights", "variational"),
    [
        ({"correspondence": 1.0}, False),
        ({"correspondence": 1.0}, True),
        ({"original_distance": 1.0}, False),
        ({"original_kl": 1.0}, True),
        ({"kl": 1.0}, True),
    ],
)
def test_terms_about_latents_move_the_encoder_only(
    pairs: PairImages, monkeypatch: pytest.MonkeyPatch, weights: dict[str, float], variational: bool
) -> None:
    without_reconstruction(monkeypatch)
    encoder, decoder = gradient_norms(pairs, with_weights(**weights), variational=variational)
    assert encoder > 0
    assert decoder == 0


@pytest.mark.parametrize(("weights", "variational"), [({"original_kl": 1.0}, False), ({"kl": 1.0}, False)])
def test_deterministic_autoencoders_have_no_kl(
    pairs: PairImages, monkeypatch: pytest.MonkeyPatch, weights: dict[str, float], variational: bool
) -> None:
    without_reconstruction(monkeypatch)
    assert gradient_norms(pairs, with_weights(**weights), variational=variational) == (0, 0)


def test_reconstruction_moves_both(pairs: PairImages) -> None:
    encoder, decoder = gradient_norms(pairs, with_weights())
    assert encoder > 0
    assert decoder > 0


@pytest.mark.parametrize("variational", [False, True])
def test_noise_is_in_what_l_vae_decodes_of_deterministic_autoencoders(
    pairs: PairImages, variational: bool
) -> None:
    def terms(noise: float, step: int = 0) -> dict[str, float]:
        config = replace(CONFIG, latent_noise=noise)
        trainer = EncoderTrainer(small_autoencoder(variational=variational), pairs, config)
        batch = pairs.batch(0, pairs=2, points=40, seed=0)
        return {name: float(value.detach()) for name, value in trainer.loss(batch, step)[1].items()}

    clean, noisy = terms(0.0), terms(0.5)
    assert noisy == terms(0.5) != terms(0.5, step=1)
    changed = {name for name in clean if clean[name] != noisy[name]}
    assert changed == (set() if variational else {"reconstruction", "perceptual"})


def test_the_adversarial_term_moves_both_and_not_the_discriminator(
    pairs: PairImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(with_weights(perceptual=1.0), discriminator=DiscriminatorConfig(start=2, width=4))
    trainer = EncoderTrainer(small_autoencoder(), pairs, config)
    batch = pairs.batch(0, pairs=2, points=40, seed=0)
    assert "adversarial" not in trainer.loss(batch, 0)[1]
    loss, terms, _ = trainer.loss(batch, 1)
    assert float(loss.detach()) == pytest.approx(
        float((terms["reconstruction"] + terms["perceptual"] + terms["adversarial"]).detach()), rel=1e-5
    )


def test_the_discriminator_sets_in_at_its_step(data: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, discriminator=DiscriminatorConfig(start=4, width=4))
    finetune(data, tmp_path / "run", config)
    seen = ["discriminator" in record for record in read_log(tmp_path / "run")]
    assert seen == [False, False, False, True, True, True]


@pytest.mark.slow
def test_latents_agree_better_after_training(data: Path, tmp_path: Path) -> None:
    """On the training views themselves: a few steps cannot do more."""
    weights = replace(CONFIG.weights, correspondence=1.0)
    config = replace(CONFIG, steps=80, learning_rate=3e-3, weights=weights)
    held_out = [data / "correspondences"]
    finetune(data, tmp_path / "run", config, held_out=held_out)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    before, after = metrics["before"], metrics["after"]
    assert 0 < after["correspondence_error"] < 0.95 * before["correspondence_error"] < 1.2


@pytest.mark.slow
def test_a_strong_lambda_2_keeps_the_latents(data: Path, pairs: PairImages, tmp_path: Path) -> None:
    images = pairs.batch(0, pairs=2, points=5, seed=3).images
    moved = []
    for weight in (0.0, 100.0):
        weights = replace(CONFIG.weights, original_distance=weight)
        trainer = EncoderTrainer(small_autoencoder(), pairs, replace(CONFIG, weights=weights))
        for index in range(30):
            trainer.step(index, index / 30)
        difference = trainer.autoencoder.encode(images) - trainer.original.encode(images)
        moved.append(float(difference.detach().square().mean()))
    assert moved[1] < 0.3 * moved[0]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Smooth pictures of one hue each, which no scene shows, and one that is too small."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(6):
        rows, columns = np.mgrid[0:40, 0:48] / 48
        shade = 0.5 + 0.5 * np.sin(random.uniform(2, 9) * rows + random.uniform(2, 9) * columns)
        picture = shade[..., None] * random.uniform(0.2, 1, size=3)
        Image.fromarray((255 * picture).astype(np.uint8)).save(folder / f"{number}.png")
    Image.new("RGB", (20, 20)).save(folder / "small.png")
    return folder


def test_photographs_are_part_of_all_terms_but_the_correspondences(pairs: PairImages, photos: Path) -> None:
    kept = load_training_images((photos,), (), size=32)

    def terms(photographs: TrainingImages | None) -> dict[str, float]:
        trainer = EncoderTrainer(small_autoencoder(), pairs, CONFIG, photos=photographs)
        with torch.no_grad():
            for parameter in trainer.autoencoder.parameters():
                parameter.add_(0.01)
        losses = trainer.step(0, 0.0)
        return {name: losses[name] for name in ("reconstruction", "original", "correspondence")}

    without, with_photos = terms(None), terms(kept)
    changed = {name for name in without if with_photos[name] != pytest.approx(without[name], rel=1e-4)}
    assert changed == {"reconstruction", "original"}


@pytest.mark.slow
def test_photographs_are_reconstructed_better_when_they_are_trained_on(
    data: Path, photos: Path, tmp_path: Path
) -> None:
    config = replace(CONFIG, steps=60, learning_rate=3e-3, photos_per_batch=2)
    pictures = load_training_images((photos,), (), size=32).batch(
        photos=6, renders=0, generator=torch.Generator().manual_seed(7)
    )
    errors = {}
    for name, folders in (("scenes", []), ("photos", [photos])):
        result = finetune(data, tmp_path / name, config, photos=folders)
        decoded = result.decode_batches(result.encode_batches(pictures))
        errors[name] = float((decoded - pictures).abs().mean())
    assert errors["photos"] < 0.8 * errors["scenes"]


def test_no_photographs_in_a_batch_is_as_without_photographs(
    data: Path, photos: Path, tmp_path: Path
) -> None:
    none = replace(CONFIG, photos_per_batch=0)
    for name, folders in (("with", [photos]), ("without", [])):
        finetune(data, tmp_path / name, none, photos=folders)
    weights = [
        (tmp_path / name / "autoencoder/model.safetensors").read_bytes() for name in ("with", "without")
    ]
    assert weights[0] == weights[1]


def test_statistics_are_those_of_pairs_and_photographs_in_proportion(
    data: Path, pairs: PairImages, photos: Path, tmp_path: Path
) -> None:
    result = finetune(data, tmp_path / "run", replace(CONFIG, photos_per_batch=2), photos=[photos])
    pictures = load_training_images((photos,), (), size=32).batch(
        photos=128, renders=0, generator=torch.Generator().manual_seed(CONFIG.seed)
    )
    images = pairs.batch(0, pairs=128, points=1, seed=CONFIG.seed).images
    expected = result.measure_statistics(torch.cat([images, pictures]))
    torch.testing.assert_close(torch.tensor(result.statistics.std), torch.tensor(expected.std))
    assert expected.std != result.measure_statistics(images).std


def test_the_result_is_of_the_same_class_with_statistics_of_its_own(data: Path, tmp_path: Path) -> None:
    finetune(data, tmp_path / "run")
    result, start = load_autoencoder(tmp_path / "run" / "autoencoder"), load_autoencoder(data / "base")
    assert isinstance(result.codec, PatchAutoencoder)
    assert isinstance(start.codec, PatchAutoencoder)
    assert result.codec.config == start.codec.config
    assert result.statistics != start.statistics


@pytest.mark.slow
@pytest.mark.parametrize("name", ["base", "vae"])
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"discriminator": DiscriminatorConfig(start=2, width=4)},
        {"window": 24, "average_decay": 0.5, "weights": replace(CONFIG.weights, exchange=0.5)},
    ],
)
def test_killed_and_resumed_is_uninterrupted(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    change: dict[str, Any],
) -> None:
    config = replace(CONFIG, **change)
    finetune(data, tmp_path / "whole", config, autoencoder=data / name)
    original = EncoderTrainer.step

    def step(self: Any, index: int, progress: float) -> dict[str, float]:
        if index == 3:
            signal.raise_signal(signal.SIGTERM)
        return original(self, index, progress)

    with monkeypatch.context() as patched:
        patched.setattr(EncoderTrainer, "step", step)
        with pytest.raises(Interrupted, match="step 4"):
            finetune(data, tmp_path / "parts", config, autoencoder=data / name)
    finetune(data, tmp_path / "parts", config, autoencoder=data / name)
    for file in ("model.safetensors", "latent_statistics.json"):
        whole, parts = ((tmp_path / run / "autoencoder" / file).read_bytes() for run in ("whole", "parts"))
        assert whole == parts


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"size": 30}, {}, "size: is 30; expected a multiple of the factor 4"),
        ({"size": 12}, {}, "at least 16"),
        ({"window": 18}, {}, "window: is 18; expected a multiple of the factor 4 from 16 to the size 32"),
        ({"window": 36}, {}, "window: is 36; expected a multiple of the factor 4 from 16 to the size 32"),
        ({"average_decay": 1.5}, {}, "average_decay"),
        ({"steps": 0}, {}, "at least 1"),
        ({"learning_rate": 0.0}, {}, "learning_rate"),
        ({"size": 64}, {}, "less than 64 pixels"),
        ({}, {"correspondences": []}, "^correspondences: name at least one folder"),
        ({"photos_per_batch": -1}, {}, "photos_per_batch: is -1; expected at least 0"),
        ({}, {"photos": [Path("/nowhere")]}, "/nowhere: no photographs here"),
        ({}, {"device": "tpu"}, "expected auto or one of cpu"),
    ],
)
def test_bad_input_leaves_nothing_behind(
    data: Path, tmp_path: Path, change: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        finetune(data, tmp_path / "run", replace(CONFIG, **change), **options)
    assert not (tmp_path / "run").exists()


def test_empty_data_sets_are_refused(data: Path, tmp_path: Path) -> None:
    for option in ("correspondences", "held_out"):
        with pytest.raises(InputError, match="has no correspondences"):
            finetune(data, tmp_path / "run", CONFIG, **{option: [tmp_path]})


def test_other_settings_need_another_folder(data: Path, tmp_path: Path) -> None:
    finetune(data, tmp_path / "run")
    with pytest.raises(InputError, match="steps: 6 there, 7 now"):
        finetune(data, tmp_path / "run", replace(CONFIG, steps=7))


def test_an_autoencoder_without_statistics_gets_some(data: Path, tmp_path: Path) -> None:
    small_autoencoder().save(tmp_path / "plain")
    (tmp_path / "plain" / "latent_statistics.json").unlink()
    assert finetune(data, tmp_path / "run", autoencoder=tmp_path / "plain").has_statistics


def test_lpips_that_cannot_be_had_leaves_nothing_behind(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "load_lpips", lambda *_, **__: Unavailable("it is not installed"))
    with pytest.raises(InputError, match="use gradient-similarity"):
        finetune(data, tmp_path / "run", replace(CONFIG, perceptual="lpips"))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_diffusers_autoencoder_stays_one(data: Path, tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (the extra `diffusers`)")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 8),
            norm_num_groups=4,
            layers_per_block=1,
            latent_channels=4,
        )
    model.save_pretrained(tmp_path / "kl")
    finetune(data, tmp_path / "run", replace(CONFIG, steps=2), autoencoder=tmp_path / "kl")
    assert {"kl", "original", "correspondence"} <= set(read_log(tmp_path / "run")[0])
    result = load_autoencoder(tmp_path / "run" / "autoencoder")
    assert isinstance(result.codec, DiffusersCodec)
    assert result.has_statistics


def test_relative_difference_is_zero_for_equal_and_about_one_for_unrelated_latents() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 4000, 3, generator=generator)
    assert float(relative_difference(first, first)) == 0
    assert float(relative_difference(first, second)) == pytest.approx(1.0, abs=0.05)
    near = first + 0.1 * second
    assert float(relative_difference(first, near)) == pytest.approx(
        float(relative_difference(30 * first, 30 * near)), rel=1e-5
    )


def test_scores_do_not_depend_on_when_they_are_taken(data: Path, pairs: PairImages) -> None:
    autoencoder = small_autoencoder()
    scores = [view_consistency(autoencoder, pairs, count=5) for _ in range(2)]
    assert scores[0] == scores[1]
