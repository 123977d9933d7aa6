"""Alignment of one decoder to the latent fields of several scenes, as a library call and as a command."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tyro
from PIL import Image

import latentfields.lrf.decoder.align as align_module
from helpers.tiny import TINY_FIT, write_sphere_scene
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import TrainingImages, load_training_images
from latentfields.autoencoders.load import load_autoencoder
from latentfields.cli.lrf_align import AlignDecoder
from latentfields.errors import InputError
from latentfields.latent_nerf.run import Run
from latentfields.lrf.decoder.align import align_decoder
from latentfields.lrf.decoder.config import (
    DecoderRunConfig,
    DecoderTrainingConfig,
)
from latentfields.lrf.decoder.pairs import Pairs, fit_latent_field, score_pairs
from latentfields.lrf.decoder.trainer import DecoderAlignment
from latentfields.lrf.encoder.config import DiscriminatorConfig
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors
from latentfields.training.loop import LoopConfig
from latentfields.training.workers import LocalWorkers

FIT = replace(TINY_FIT.with_steps(supervision=100, alignment=0), subpixels=1)
TRAINING = DecoderTrainingConfig(
    steps=90, training_views=2, novel_views=2, crop=24, learning_rate=3e-3, preservation_weight=2.0
)
RESULT = ("model.safetensors", "config.json", "latent_statistics.json")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes below one folder."""
    root = tmp_path_factory.mktemp("alignment")
    for name, views in (("one", 10), ("two", 12)):
        write_sphere_scene(root / name, views=views)
    return root


@pytest.fixture(scope="module")
def config(scenes: Path, autoencoder_folder: Path) -> DecoderRunConfig:
    return DecoderRunConfig(
        scenes=(scenes,),
        autoencoder=str(autoencoder_folder),
        size=None,
        fit=FIT,
        training=TRAINING,
    )


@pytest.fixture(scope="module")
def finished(config: DecoderRunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("aligned") / "run"
    align(config, out=out)
    return out


def align(run: DecoderRunConfig, **options: Any) -> Autoencoder:
    """`align_decoder` with what `run` says, on the CPU."""
    return align_decoder(
        run.training,
        scenes=run.scenes,
        autoencoder=run.autoencoder,
        photos=run.photos,
        fit=run.fit,
        other_fits=run.other_fits,
        size=run.size,
        device="cpu",
        **options,
    )


def result(out: Path) -> dict[str, bytes]:
    return {name: (out / "autoencoder" / name).read_bytes() for name in RESULT}


@pytest.mark.slow
def test_decoded_renderings_improve_and_reconstruction_is_kept(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert (metrics["scenes"], metrics["training_views"], metrics["novel_views"]) == (2, 16, 6)
    before, after = metrics["before"], metrics["after"]
    for kind in ("training", "novel"):
        assert after[kind]["psnr"] > before[kind]["psnr"] + 0.5, kind
    assert after["reconstruction"]["psnr"] > before["reconstruction"]["psnr"] - 0.5


@pytest.mark.slow
def test_only_the_decoder_changes(finished: Path, autoencoder: Autoencoder) -> None:
    aligned = load_autoencoder(finished / "autoencoder")
    assert aligned.statistics == autoencoder.statistics
    old, new = autoencoder.codec.encoder_module(), aligned.codec.encoder_module()
    for name, tensor in old.state_dict().items():
        assert torch.equal(tensor, new.state_dict()[name]), name
    old, new = autoencoder.codec.decoder_module(), aligned.codec.decoder_module()
    assert all(not torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True))


@pytest.mark.slow
def test_fits_are_deleted_once_their_pairs_are_written(finished: Path) -> None:
    assert sorted(path.name for path in (finished / "pairs").iterdir()) == [
        "0000-one.safetensors",
        "0001-two.safetensors",
    ]
    assert not (finished / "fits").exists()


def test_every_scene_is_fitted_by_all_fields(config: DecoderRunConfig, tmp_path: Path) -> None:
    short = FIT.with_steps(supervision=3, alignment=0)
    run = replace(config, fit=short, other_fits=(replace(short, seed=1),))
    align(replace(run, training=replace(TRAINING, steps=2)), out=tmp_path)
    names = ["0000-one", "0000-one-1", "0001-two", "0001-two-1"]
    files = [tmp_path / "pairs" / f"{name}.safetensors" for name in names]
    assert set((tmp_path / "pairs").iterdir()) == set(files)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert (metrics["scenes"], metrics["training_views"], metrics["novel_views"]) == (2, 32, 12)
    first, second = (next(Pairs([file], factor=4, crop=24).whole([(0, 0)])) for file in files[:2])
    assert torch.equal(first.images, second.images)
    assert not torch.equal(first.rendered, second.rendered)


@pytest.mark.slow
def test_without_preservation_the_reconstruction_pays(finished: Path, autoencoder: Autoencoder) -> None:
    pairs = Pairs(sorted((finished / "pairs").iterdir()), factor=4, crop=24)

    def reconstruction(weight: float) -> float:
        aligned = autoencoder.clone()
        trainer = DecoderAlignment(aligned, pairs, replace(TRAINING, preservation_weight=weight))
        for index in range(TRAINING.steps):
            trainer.step(index, index / TRAINING.steps)
        return score_pairs(aligned, pairs)["reconstruction"]["psnr"]

    assert reconstruction(0.0) < reconstruction(100.0) - 0.1


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with more colours than the scenes have."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(6):
        coarse = Image.fromarray(random.integers(0, 256, size=(6, 6, 3), dtype=np.uint8))
        coarse.resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folder


@pytest.mark.slow
def test_photographs_keep_what_the_scenes_do_not_show(
    finished: Path, autoencoder: Autoencoder, photos: Path
) -> None:
    pairs = Pairs(sorted((finished / "pairs").iterdir()), factor=4, crop=24)
    training = replace(TRAINING, preservation_weight=3.0, photos_per_batch=6)
    images = load_training_images((photos,), (), size=24)
    pictures = images.batch(photos=12, renders=0, generator=torch.Generator().manual_seed(3))
    latents = autoencoder.encode_batches(pictures)
    before = autoencoder.decode_batches(latents)

    def moved(photographs: TrainingImages | None) -> float:
        aligned = autoencoder.clone()
        trainer = DecoderAlignment(aligned, pairs, training, photos=photographs)
        for index in range(TRAINING.steps):
            trainer.step(index, index / TRAINING.steps)
        return float((aligned.decode_batches(latents) - before).square().mean())

    assert moved(images) < 0.5 * moved(None)


@pytest.mark.slow
def test_photographs_are_for_the_preservation_alone(
    finished: Path, autoencoder: Autoencoder, photos: Path
) -> None:
    pairs = Pairs(sorted((finished / "pairs").iterdir()), factor=4, crop=24)
    images = load_training_images((photos,), (), size=24)

    def decoder(photographs: TrainingImages | None, **changes: Any) -> list[torch.Tensor]:
        aligned = autoencoder.clone()
        trainer = DecoderAlignment(aligned, pairs, replace(TRAINING, **changes), photos=photographs)
        trainer.step(0, 0.0)
        return [parameter.detach() for parameter in aligned.decoder_parameters()]

    for changes in ({"preservation_weight": 0.0}, {"photos_per_batch": 0}):
        both = zip(decoder(images, **changes), decoder(None, **changes), strict=True)
        assert all(torch.equal(a, b) for a, b in both), changes


@pytest.mark.slow
def test_the_losses_of_the_original_training_are_in_the_objective(
    finished: Path, autoencoder: Autoencoder
) -> None:
    """L1 and a perceptual term, and from its start on a discriminator, whose state is part of the trainer's."""
    pairs = Pairs(sorted((finished / "pairs").iterdir()), factor=4, crop=24)
    options = replace(
        TRAINING,
        preservation_weight=0.0,
        perceptual_weight=0.5,
        discriminator=DiscriminatorConfig(start=2, width=4),
        beta1=0.5,
        beta2=0.9,
    )
    trainer = DecoderAlignment(autoencoder.clone(), pairs, options)
    assert {group["betas"] for group in trainer.optimizer.param_groups} == {(0.5, 0.9)}
    first, second = trainer.step(0, 0.0), trainer.step(1, 0.1)
    assert first["loss"] == pytest.approx(
        0.5 * first["training"] + 0.5 * first["novel"] + 0.5 * first["perceptual"], rel=1e-5
    )
    assert {"adversarial", "discriminator"} <= second.keys() - first.keys()
    assert second["loss"] == pytest.approx(
        0.5 * second["training"] + 0.5 * second["novel"] + 0.5 * second["perceptual"] + second["adversarial"],
        rel=1e-4,
    )
    tensors, metadata = trainer.state()
    again = DecoderAlignment(autoencoder.clone(), pairs, options)
    again.restore(tensors, json.loads(json.dumps(metadata)))
    assert again.step(2, 0.2) == trainer.step(2, 0.2)


class _Stopped(BaseException):
    """As Ctrl-C, no failure of a job, which would be tried again."""


@pytest.mark.slow
def test_interrupted_anywhere_it_ends_with_the_same_bytes(
    config: DecoderRunConfig, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fitted = tmp_path / "run", []

    def fit_once(scene: Scene, autoencoder: Autoencoder, **options: Any) -> Run:
        fitted.append(scene.name)
        if fitted == ["one", "two"]:
            raise _Stopped
        return fit_latent_field(scene, autoencoder, **options)

    monkeypatch.setattr(align_module, "fit_latent_field", fit_once)
    with pytest.raises(_Stopped):
        align(config, out=out)

    step = DecoderAlignment.step

    def stop_at_step(self: Any, index: int, progress: float) -> dict[str, float]:
        if index == 17:
            raise _Stopped
        return step(self, index, progress)

    monkeypatch.setattr(DecoderAlignment, "step", stop_at_step)
    with pytest.raises(_Stopped):
        align(config, out=out, loop=LoopConfig(checkpoint_seconds=0.0))
    assert fitted == ["one", "two", "two"]

    monkeypatch.setattr(DecoderAlignment, "step", step)
    align(config, out=out)
    assert fitted == ["one", "two", "two"]
    assert result(out) == result(finished)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"processes": 2}, {"engine": LocalWorkers(1, device="cpu")}], ids=str)
def test_other_processes_fit_the_same_fields(
    config: DecoderRunConfig, finished: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    align(replace(config, training=replace(TRAINING, steps=1)), out=tmp_path / "run", **options)
    for pairs in (finished / "pairs").iterdir():
        (ours, _), (theirs, _) = (load_tensors(path) for path in (tmp_path / "run/pairs" / pairs.name, pairs))
        assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert not (tmp_path / "run" / "fits").exists()


@pytest.mark.slow
def test_an_autoencoder_without_statistics_gets_those_of_the_scenes(
    config: DecoderRunConfig, autoencoder_folder: Path, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("model.safetensors", "config.json"):
        (bare / name).write_bytes((autoencoder_folder / name).read_bytes())
    shortest = replace(
        config,
        autoencoder=str(bare),
        fit=replace(FIT, supervision=replace(FIT.supervision, steps=1)),
        training=replace(TRAINING, steps=1),
    )
    aligned = align(shortest, out=tmp_path / "run")
    for a, b in zip(aligned.statistics.std, autoencoder.statistics.std, strict=True):
        assert 0.7 * b < a < 1.4 * b


def problem(config: DecoderRunConfig, out: Path, **options: Any) -> str:
    with pytest.raises(InputError) as error:
        align(config, out=out, **options)
    return str(error.value)


@pytest.mark.slow
def test_bad_input_leaves_nothing_behind(config: DecoderRunConfig, tmp_path: Path) -> None:
    out, empty = tmp_path / "run", tmp_path / "empty"
    empty.mkdir()
    single = write_sphere_scene(tmp_path / "single", views=4)
    (single / "transforms_test.json").unlink()
    aligning = replace(config, fit=TINY_FIT)
    assert "processes: is 0; expected at least 1" in problem(config, out, processes=0)
    assert "scenes: name at least one" in problem(replace(config, scenes=()), out)
    assert f"{empty}: no scenes here" in problem(replace(config, scenes=(empty,)), out)
    assert "single" in problem(replace(config, scenes=(single,)), out)
    assert "images of 8x8; expected 16 or more" in problem(replace(config, size=8), out)
    assert "fit: aligns a decoder to each scene alone" in problem(aligning, out)
    others = replace(config, other_fits=(FIT, TINY_FIT))
    assert "other_fits[1]: aligns a decoder to each scene alone" in problem(others, out)
    assert "training.crop: is 3; expected at least the factor 4" in problem(
        replace(config, training=replace(TRAINING, crop=3)), out
    )
    assert "no photographs here" in problem(replace(config, photos=(empty,)), out)
    Image.new("RGB", (20, 20)).save(empty / "small.png")
    assert "no photograph is at least 24 pixels" in problem(replace(config, photos=(empty,)), out)
    assert not out.exists()


@pytest.mark.slow
def test_other_settings_need_another_folder(config: DecoderRunConfig, finished: Path) -> None:
    other = replace(config, training=replace(TRAINING, seed=1))
    assert "holds a run with other settings (training.seed: 0 there, 1 now)" in problem(other, finished)


def test_the_command(
    scenes: Path, autoencoder_folder: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        str(scenes / "one"),
        "--photos",
        str(photos),
        "--out",
        str(tmp_path / "run"),
        "--autoencoder",
        str(autoencoder_folder),
        "--field",
        "triplane",
        "--fit-steps",
        "2",
        "--steps",
        "2",
        "--crop",
        "16",
        "--device",
        "cpu",
    ]
    tyro.cli(AlignDecoder, args=arguments).run()
    assert capsys.readouterr().out == f"{tmp_path / 'run' / 'autoencoder'}\n"
    assert load_autoencoder(tmp_path / "run" / "autoencoder").factor == 4
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (written["fit"]["supervision"]["steps"], written["training"]["steps"]) == (2, 2)


def test_help_needs_no_torch() -> None:
    code = "import sys, latentfields.cli.lrf_align; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
