"""Methods fitted to the sphere: both stages, checkpoints, resume, full-resolution outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tiny import SIZE
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import InputError

pytest.importorskip("nerfstudio", reason="Nerfstudio has an environment of its own: make test-nerfstudio")

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.engine.callbacks import TrainingCallback, TrainingCallbackLocation
from nerfstudio.engine.trainer import Trainer, TrainerConfig

from helpers.small_methods import narrow_networks, small_config, trainer_of
from latentfields.integrations.nerfstudio.methods import METHODS

STEPS = {
    "latent-vanilla-nerf": (200, 60),
    "latent-tensorf": (60, 60),
    "latent-nerfacto": (80, 80),
    "latent-kplanes": (60, 60),
    "latent-splatfacto": (60, 60),
}
"""Of both stages."""
CUDA = {"latent-instant-ngp": "nerfacc marches rays on CUDA only"}


def average(trainer: Trainer) -> dict[str, float]:
    scores: dict[str, float] = trainer.pipeline.get_average_eval_image_metrics()
    return scores


def train(trainer: Trainer, *, look_at: int) -> dict[str, float]:
    """Train; returns the scores before step `look_at`."""
    seen: dict[str, float] = {}
    where = [TrainingCallbackLocation.BEFORE_TRAIN_ITERATION]
    trainer.callbacks.append(
        TrainingCallback(where, lambda step: seen.update(average(trainer)), iters=(look_at,))
    )
    trainer.train()
    return seen


def checkpoint(config: TrainerConfig, step: int) -> dict[str, Any]:
    # Raises when there is more than tensors and plain values in it.
    file = config.get_checkpoint_dir() / f"step-{step:09d}.ckpt"
    state: dict[str, Any] = torch.load(file, weights_only=True)
    return state


@pytest.fixture
def settings(blender_scene: Path, autoencoder_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return {"scene": blender_scene, "autoencoder": autoencoder_folder, "out": tmp_path}


@pytest.mark.parametrize("name", METHODS)
def test_both_stages_raise_quality_and_a_resumed_run_ends_as_it_would_have(
    name: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in CUDA:
        pytest.skip(f"needs a GPU: {CUDA[name]}")
    narrow_networks(monkeypatch)
    supervision, alignment = STEPS[name]
    config = small_config(name, **settings, supervision=supervision, alignment=alignment)
    config.steps_per_save, config.save_only_latest_checkpoint = supervision + alignment // 4, False
    trainer = trainer_of(config)
    before = average(trainer)
    between = train(trainer, look_at=supervision)
    after = average(trainer)
    assert between["latent_psnr"] > before["latent_psnr"] + 1
    assert between["psnr"] > before["psnr"] + 1
    assert after["psnr"] > between["psnr"]
    assert after["autoencoder_psnr"] == before["autoencoder_psnr"]

    last = checkpoint(config, supervision + alignment - 1)
    original = load_autoencoder(settings["autoencoder"]).codec
    for half, trained in (("encoder", False), ("decoder", True)):
        weights = getattr(original, f"{half}_module")().state_dict()
        same = all(
            torch.equal(value, last["pipeline"][f"_model.autoencoder.codec.{half}.{key}"])
            for key, value in weights.items()
        )
        assert same is not trained

    # Nerfacto's proposals count steps that checkpoints do not hold.
    if name != "latent-nerfacto":
        config.load_dir, config.load_step = config.get_checkpoint_dir(), config.steps_per_save
        config.timestamp = "resumed"
        trainer_of(config).train()
        resumed = checkpoint(config, supervision + alignment - 1)
        assert resumed["pipeline"].keys() == last["pipeline"].keys()
        for key, value in last["pipeline"].items():
            assert torch.equal(value, resumed["pipeline"][key]), key


def test_a_finished_run_is_not_trained_further(settings: dict[str, Any]) -> None:
    config = small_config("latent-tensorf", **settings, supervision=2, alignment=1)
    trainer_of(config).train()
    config.load_dir = config.get_checkpoint_dir()
    with pytest.raises(InputError, match=r"^--load-dir: holds a run that has done its 3 iterations"):
        trainer_of(config)


def test_a_learned_background_is_fitted(settings: dict[str, Any]) -> None:
    config = small_config("latent-tensorf", **settings, supervision=3, alignment=1)
    config.pipeline.model.background = "learned"
    trainer = trainer_of(config)
    before = trainer.pipeline.model.renderer.background.detach().clone()
    trainer.train()
    assert not torch.equal(trainer.pipeline.model.renderer.background.detach(), before)


def test_missing_statistics_are_measured_and_kept_in_checkpoints(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    load_autoencoder(settings["autoencoder"]).save(bare)
    (bare / "latent_statistics.json").unlink()
    config = small_config("latent-tensorf", **settings | {"autoencoder": bare}, supervision=1, alignment=1)
    trainer = trainer_of(config)
    trainer.train()
    mean, std = checkpoint(config, 1)["pipeline"]["_model.latent_statistics"]
    latents = torch.stack(trainer.pipeline.datamanager.views("train").latents)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros_like(mean), atol=1e-3, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones_like(std), atol=1e-2, rtol=0)
    pipeline = config.pipeline.setup(device="cpu", test_mode="test")
    state = checkpoint(config, 1)
    pipeline.load_pipeline(state["pipeline"], state["step"])
    torch.testing.assert_close(pipeline.model.autoencoder.latent_mean, mean)
    # Its own evaluation encodes as the training did.
    again = pipeline.datamanager.views("eval").latents[0]
    torch.testing.assert_close(again, trainer.pipeline.datamanager.views("eval").latents[0])


def test_cameras_of_any_size_give_images_of_that_size(settings: dict[str, Any], codec: Autoencoder) -> None:
    config = small_config("latent-tensorf", **settings, supervision=1, alignment=1)
    model = trainer_of(config).pipeline.model.eval()
    pose = torch.eye(4)[None, :3].clone()
    pose[:, 2, 3] = 3.0
    for width, height in ((SIZE, SIZE), (41, 30), (3, 2)):
        camera = Cameras(pose, fx=50.0, fy=50.0, cx=width / 2, cy=height / 2, width=width, height=height)
        outputs = model.get_outputs_for_camera(camera)
        assert outputs["rgb"].shape == (height, width, 3)
        assert outputs["latents"].shape == (height, width, codec.channels)
        assert {outputs[name].shape for name in ("accumulation", "depth")} == {(height, width, 1)}
        assert outputs["rgb"].min() >= 0
        assert outputs["rgb"].max() <= 1
    camera = Cameras(pose, fx=50.0, fy=50.0, cx=16.0, cy=16.0, width=SIZE, height=SIZE)
    outputs = model.get_outputs_for_camera(camera)
    latents = outputs["latents"][:: codec.factor, :: codec.factor].permute(2, 0, 1)[None]
    torch.testing.assert_close(codec.decode(latents)[0].permute(1, 2, 0).clamp(0, 1), outputs["rgb"])
    assert model.get_rgba_image(outputs)[..., 3].min() == 1
