"""Short fits of every field, in latents and in RGB, through the pipeline that a user calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import pytest
import torch

from helpers.tiny import TINY_FIT
from latentfields import FitConfig, fit, preset
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.fields.config import FieldName, KPlanesConfig
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import Space
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.latent_nerf.usual import HABITS
from latentfields.rendering.config import (
    GridSamplingConfig,
    HierarchicalSamplingConfig,
    ProposalSamplingConfig,
    SamplingConfig,
)
from latentfields.scenes.scene import Scene

KPLANES = KPlanesConfig(resolution=8, scales=(1, 2), features=8, hidden=32)
SAMPLINGS: dict[str, SamplingConfig] = {
    "grid": TINY_FIT.sampling,
    "hierarchical": HierarchicalSamplingConfig(coarse_samples=12, fine_samples=12),
    "shared": HierarchicalSamplingConfig(coarse_samples=16, fine_samples=12, coarse_network="shared"),
    "proposal": ProposalSamplingConfig(
        samples=12, proposal_samples=(24,), resolutions=(12,), features=4, hidden=16, anneal_steps=50
    ),
}


def trained(scene: Scene, autoencoder: Autoencoder | None, config: FitConfig) -> LatentNerfTrainer:
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLINGS)
def test_kplanes_in_rgb_with_every_sampler(scene: Scene, name: str) -> None:
    config = replace(TINY_FIT, space="rgb", field=KPLANES, sampling=SAMPLINGS[name], batch_rays=256)
    # A density grid knows late where nothing is.
    trainer = trained(scene, None, config.with_steps(supervision=150 if name == "grid" else 100, alignment=0))
    assert trainer.test_psnr(None) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", ["grid", "proposal"])
def test_kplanes_in_latents(scene: Scene, autoencoder: Autoencoder, name: str) -> None:
    config = replace(
        TINY_FIT, field=KPLANES, sampling=SAMPLINGS[name], subpixels=1, decoder_learning_rate=2e-3
    )
    trainer = trained(scene, autoencoder, config.with_steps(supervision=150, alignment=150))
    assert trainer.after_supervision["test_psnr"] > 14
    assert trainer.test_psnr(None) > 18


@pytest.mark.slow
@pytest.mark.parametrize("space", ["latent", "rgb"])
@pytest.mark.parametrize("field", get_args(FieldName))
def test_every_field_learns(scene: Scene, autoencoder: Autoencoder, field: FieldName, space: Space) -> None:
    config = replace(preset(field), space=space, subpixels=1, batch_images=2, batch_rays=256)
    if field != "gaussians":
        config = replace(config, sampling=GridSamplingConfig(samples=12, bins=24, grid_resolution=16))
    config = config.with_steps(supervision=50, alignment=0)
    model = new_model(scene, autoencoder if space == "latent" else None, config)
    trainer = LatentNerfTrainer(model, scene, config)
    before = error(trainer)
    for index in range(50):
        trainer.step(index, index / 50)
    assert error(trainer) < 0.85 * before


@torch.no_grad()
def error(trainer: LatentNerfTrainer) -> float:
    """Mean squared error of all training views, in the space in which the field is fitted."""
    seen = trainer.model.render_features(trainer.scene.cameras[trainer.train_indices]).features
    return float((seen - trainer._targets(torch.arange(len(trainer.train_indices)))).square().mean())


@pytest.mark.slow
def test_squashed_latents_can_be_fitted(scene: Scene, autoencoder: Autoencoder) -> None:
    config = replace(TINY_FIT, normalizer="tanh", subpixels=1, decoder_learning_rate=2e-3)
    trainer = trained(scene, autoencoder, config.with_steps(supervision=200, alignment=200))
    assert trainer.test_psnr(None) > 15


@pytest.mark.parametrize("field", ["kplanes", "tensorf"])
def test_a_fit_by_name_reloads_and_repeats_its_pictures(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: FieldName
) -> None:
    quick = preset(field).with_steps(supervision=5, alignment=2)
    monkeypatch.setattr(
        "latentfields.latent_nerf.fit.preset", lambda name, space: {(field, "latent"): quick}[name, space]
    )
    usual = HABITS["object"].for_latents(quick, factor=4, subpixels=1)
    run = fit(scene, autoencoder, out=tmp_path / "run", field=field)
    loaded = Run.load(tmp_path / "run")
    assert loaded.config.fit == usual
    assert (usual.alignment_grid, usual.batch_images) == ("shifted", 4)
    cameras = scene.cameras[scene.indices("test")]
    assert torch.equal(loaded.render(cameras), run.render(cameras))


def test_a_field_beside_a_configuration_is_refused(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="field: is 'kplanes' beside `config`"):
        fit(scene, autoencoder, out=tmp_path / "run", field="kplanes", config=TINY_FIT)
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize("normalizer", ["standard", "tanh"])
def test_a_gpu_computes_the_same(
    scene: Scene,
    autoencoder: Autoencoder,
    tmp_path: Path,
    sampling: SamplingConfig,
    normalizer: Literal["standard", "tanh"],
) -> None:
    config = replace(TINY_FIT, field=KPLANES, sampling=sampling, normalizer=normalizer).with_steps(
        supervision=2, alignment=2
    )
    cameras = scene.cameras[scene.indices("test")]
    on_cpu, on_gpu = (
        fit(scene, autoencoder, out=tmp_path / device, config=config, device=device).render(cameras)
        for device in ("cpu", "cuda")
    )
    assert on_gpu.device.type == "cpu"
    torch.testing.assert_close(on_gpu, on_cpu, atol=0.02, rtol=0)
