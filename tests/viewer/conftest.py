"""Finished trainings that the tests of the viewer only read: a latent run, and two latent scenes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from latentfields.autoencoders.load import load_autoencoder
from latentfields.igae.config import IgaeConfig, JointConfig, LatentScenesConfig, PretrainingConfig
from latentfields.igae.finetune import finetune_3d
from latentfields.rendering.config import DensityGridConfig
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object
from latentfields.training.loop import LoopConfig

IGAE = IgaeConfig(
    size=32,
    scenes=LatentScenesConfig(
        resolution=16,
        features=8,
        hidden=16,
        sampling=DensityGridConfig(samples=8, bins=12, grid_resolution=8, grid_every=2, grid_warmup=4),
    ),
    pretraining=PretrainingConfig(epochs=30.0, scenes_per_batch=2, views_per_scene=2, mlp_learning_rate=1e-2),
    joint=JointConfig(epochs=1.0, scenes_per_batch=2),
    ablation="no-preservation",
)


@pytest.fixture(autouse=True)
def _single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are compared with those of runs; some processors decode in bfloat16 for those who look."""
    monkeypatch.setattr("latentfields.latent_nerf.looking.uses_bfloat16", lambda *_: False)


@pytest.fixture(scope="session")
def igae_run(autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two latent scenes, trained from an autoencoder without statistics."""
    folder = tmp_path_factory.mktemp("igae")
    options = RenderConfig(views=8, size=32, samples=1, test_fraction=0.25, val_fraction=0.0)
    for seed in range(2):
        made = generate_object("vases", seed)
        render_object_scene(made, folder / "scenes" / f"vase-{seed}", options=options, seed=seed)
    shutil.copytree(autoencoder_folder, folder / "start")
    (folder / "start" / "latent_statistics.json").unlink()
    assert not load_autoencoder(folder / "start").has_statistics
    finetune_3d(
        IGAE,
        autoencoder=folder / "start",
        scenes=[folder / "scenes"],
        photos=[],
        out=folder / "run",
        command="",
        loop=LoopConfig(checkpoint_seconds=3600.0),
    )
    return folder / "run"
