"""Nerfstudio's TensoRF and latentfields' own, on the same scene with the same autoencoder and schedule.

They are two implementations of a method: densities have other activations, boxes other sizes, factors another start.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latentfields.autoencoders.load import load_autoencoder
from latentfields.fields.config import TensorfConfig
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import StageConfig
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.rendering.config import HierarchicalSamplingConfig
from latentfields.scenes.load import load_scene

pytest.importorskip("nerfstudio", reason="Nerfstudio has an environment of its own: make test-nerfstudio")

from nerfstudio.engine.callbacks import TrainingCallbackLocation
from nerfstudio.engine.trainer import Trainer

from helpers.small_methods import LEARNING_RATES, RAY_MODELS, small_config, trainer_of

STEPS = 80
"""Of each stage."""
TOLERANCE = 2.0
"""dB of PSNR on the test views, decoded and in latent space."""


def own_trainer(scene_folder: Path, autoencoder_folder: Path) -> LatentNerfTrainer:
    stock = RAY_MODELS["latent-tensorf"]
    paper = preset("tensorf", "paper")
    factor = LEARNING_RATES["latent-tensorf"]
    assert isinstance(paper.field, TensorfConfig)
    config = replace(
        paper,
        field=replace(
            paper.field,
            initial_resolution=stock["init_resolution"],
            final_resolution=stock["final_resolution"],
            upsample_at=(stock["upsampling_iters"][0] / STEPS,),
        ),
        sampling=HierarchicalSamplingConfig(stock["num_uniform_samples"], stock["num_samples"], "shared"),
        supervision=StageConfig(STEPS, factor),
        alignment=StageConfig(STEPS, 0.5 * factor),
        decoder_learning_rate=1e-3,
    )
    scene, autoencoder = load_scene(scene_folder), load_autoencoder(autoencoder_folder)
    return LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)


def stock_step(trainer: Trainer, step: int) -> None:
    """One turn of Nerfstudio's training loop."""
    trainer.pipeline.train()
    for callback in trainer.callbacks:
        callback.run_callback_at_location(step, TrainingCallbackLocation.BEFORE_TRAIN_ITERATION)
    trainer.train_iteration(step)
    for callback in trainer.callbacks:
        callback.run_callback_at_location(step, TrainingCallbackLocation.AFTER_TRAIN_ITERATION)


def test_both_tensorfs_reach_the_same_quality(
    blender_scene: Path, autoencoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small_config(
        "latent-tensorf",
        scene=blender_scene,
        autoencoder=autoencoder_folder,
        out=tmp_path,
        supervision=STEPS,
        alignment=STEPS,
    )
    stock, own = trainer_of(config), own_trainer(blender_scene, autoencoder_folder)
    seconds = {"stock": 0.0, "own": 0.0}
    for step in range(2 * STEPS):
        start = time.process_time()
        stock_step(stock, step)
        middle = time.process_time()
        own.step(step, step / (2 * STEPS))
        seconds["stock"] += middle - start
        seconds["own"] += time.process_time() - middle
    scores = stock.pipeline.get_average_eval_image_metrics()
    with torch.no_grad():
        results = {
            "stock": (scores["psnr"], scores["latent_psnr"]),
            "own": (own.test_psnr(None), own.test_latent_psnr()),
        }
    with capsys.disabled():
        for name, (decoded, latent) in results.items():
            rate = 2 * STEPS / seconds[name]
            print(f"\n{name}: {decoded:.2f} dB, latent {latent:.2f} dB, {rate:.1f} iterations per CPU second")
    for ours, theirs in zip(results["own"], results["stock"], strict=True):
        assert abs(ours - theirs) < TOLERANCE
