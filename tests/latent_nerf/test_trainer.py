"""Both stages on a small real scene: they must reach a quality, and touch only what the paper says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from helpers.tiny import TINY_FIT
from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.fields.config import TriPlaneConfig
from latentfields.files import read_json
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.evaluate import evaluate_run
from latentfields.latent_nerf.losses import latent_supervision_loss, rgb_alignment_loss
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.measures.metrics import psnr
from latentfields.scenes.scene import Scene


def trained(
    scene: Scene, autoencoder: Autoencoder | None, supervision: int, alignment: int, **changes: Any
) -> LatentNerfTrainer:
    config = replace(TINY_FIT.with_steps(supervision=supervision, alignment=alignment), **changes)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)
    return trainer


def test_the_losses_are_mean_squares() -> None:
    a, b = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    assert latent_supervision_loss(a, b) == 0.25
    assert rgb_alignment_loss(a, b) == 0.25


@pytest.mark.slow
@pytest.mark.parametrize("subpixels", [1, 2])
def test_supervision_then_alignment_reach_a_quality(
    scene: Scene, autoencoder: Autoencoder, subpixels: int
) -> None:
    trainer = trained(scene, autoencoder, 250, 250, subpixels=subpixels, decoder_learning_rate=2e-3)
    supervised, aligned = trainer.after_supervision["test_psnr"], trainer.test_psnr(None)
    assert supervised > 15
    assert aligned > 20
    assert aligned > supervised + 2  # Table 4's point.


@pytest.mark.slow
def test_an_ordinary_nerf_goes_through_the_same_code(scene: Scene) -> None:
    trainer = trained(scene, None, 100, 100, space="rgb", batch_rays=512)
    assert trainer.test_psnr(None) > 24
    assert trainer.after_supervision == {}


def test_alignment_leaves_the_encoder_alone_and_adapts_the_decoder(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    trainer = trained(scene, autoencoder, 4, 4)
    after = trainer.model.autoencoder
    assert after is not None
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(".decoder." in name for name in changed)
    # The caller's autoencoder is not touched.
    assert all(torch.equal(value, before[name]) for name, value in autoencoder.state_dict().items())


def test_supervision_does_not_move_the_decoder(scene: Scene, autoencoder: Autoencoder) -> None:
    config = TINY_FIT.with_steps(supervision=4, alignment=4)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(4):
        trainer.step(index, index / 8)
    after = trainer.model.autoencoder
    assert after is not None
    for name, value in autoencoder.state_dict().items():
        assert torch.equal(after.state_dict()[name], value)


@pytest.mark.parametrize("choice", ["keep", "reset"])
def test_the_fields_optimiser_is_kept_or_reset(
    scene: Scene, autoencoder: Autoencoder, choice: Literal["keep", "reset"]
) -> None:
    config = replace(TINY_FIT.with_steps(supervision=6, alignment=4), optimizer_at_alignment=choice)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(7):
        trainer.step(index, index / 10)
    steps = {int(state["step"]) for state in trainer.optimizer.state.values()}
    assert steps == ({7} if choice == "keep" else {1})


def test_learning_rates_decay_to_the_stage_s_end(scene: Scene, autoencoder: Autoencoder) -> None:
    config = TINY_FIT.with_steps(supervision=10, alignment=10)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    assert isinstance(config.field, TriPlaneConfig)
    peak = config.field.planes_learning_rate
    trainer.step(0, 0.0)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(peak)
    trainer.step(5, 0.25)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(peak * 0.1**0.5)
    trainer.step(10, 0.5)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(peak * 0.3)


def test_evaluation_is_deterministic_and_repeats_the_stored_scores(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, tmp_path: Path
) -> None:
    named = autoencoder.clone()
    named.name = str(autoencoder_folder)
    run = fit(scene, named, out=tmp_path / "run", config=TINY_FIT)
    stored = read_json(tmp_path / "run" / "metrics.json")["test"]
    assert set(stored) == {"images", "latents", "against_autoencoded", "autoencoder"}
    again = evaluate_run(Run.load(run.folder))["test"]
    assert again == stored


def test_a_loaded_run_renders_what_was_fitted(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    run = fit(scene, autoencoder, out=tmp_path / "run", config=TINY_FIT)
    cameras = scene.cameras[scene.indices("test")]
    images = run.render(cameras)
    assert images.shape == (3, 3, 32, 32)
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(Run.load(run.folder).render(cameras), images)
    assert float(psnr(images, scene.images(scene.indices("test"))).mean()) > 10


def test_other_settings_in_the_same_folder_are_refused(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    fit(scene, autoencoder, out=tmp_path / "run", config=TINY_FIT)
    with pytest.raises(InputError, match=r"fit\.seed: 0 there, 5 now"):
        fit(scene, autoencoder, out=tmp_path / "run", config=replace(TINY_FIT, seed=5))


def test_an_odd_number_of_subpixels_is_refused(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="subpixels: is 3"):
        fit(scene, autoencoder, out=tmp_path / "run", config=replace(TINY_FIT, subpixels=3))
