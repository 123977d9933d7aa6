from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.tiny import TINY_FIT, TINY_GAUSSIANS, fitted_run
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.generation.edit import edit
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.pages.pictures import save_png, to_pixels
from latentfields.rendering.config import MipSplattingConfig
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(run / "model.safetensors")[0]


@pytest.mark.slow
def test_the_same_class_changes_nothing(generated: Path, prior_run: Path, tmp_path: Path) -> None:
    edit(generated, "ball", prior=prior_run, out=tmp_path / "run", steps=3, device="cpu")
    for name, tensor in weights(generated).items():
        assert torch.equal(weights(tmp_path / "run")[name], tensor), name


@pytest.mark.slow
def test_another_class_changes_the_field(generated: Path, prior_run: Path, tmp_path: Path) -> None:
    before = (generated / "model.safetensors").read_bytes()
    run = edit(generated, "marble", prior=prior_run, out=tmp_path / "run", steps=3, device="cpu")
    assert isinstance(run.config, GenerationRunConfig)
    assert run.config.origin == generated.resolve()
    assert run.config.origin_category == "ball"
    assert run.config.name == "ball-0000-to-marble"
    changed = [
        name
        for name, tensor in weights(generated).items()
        if not tensor.equal(weights(tmp_path / "run")[name])
    ]
    assert changed
    assert (generated / "model.safetensors").read_bytes() == before
    again = edit(generated, "marble", prior=prior_run, out=tmp_path / "again", steps=3, device="cpu")
    for name, tensor in again.model.scene_state().items():
        assert torch.equal(run.model.scene_state()[name], tensor), name


def test_a_photograph_changes_the_field(generated: Path, prior_run: Path, tmp_path: Path) -> None:
    picture = torch.ones(3, 32, 32)
    picture[:, 8:24, 8:24] = 0.2
    save_png(tmp_path / "photo.png", to_pixels(picture))
    edit(
        generated, image=tmp_path / "photo.png", prior=prior_run, out=tmp_path / "run", steps=2, device="cpu"
    )
    assert any(not t.equal(weights(tmp_path / "run")[name]) for name, t in weights(generated).items())


@pytest.mark.slow
def test_a_fitted_scene_is_edited(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, prior_run: Path, tmp_path: Path
) -> None:
    """With its projection, which is part of the scene."""
    fitted = fitted_run(
        scene, autoencoder, stored=autoencoder_folder, out=tmp_path / "fit", supervision=12, alignment=0
    )
    run = edit(fitted, "marble", origin="ball", prior=prior_run, out=tmp_path / "run", steps=2, device="cpu")
    assert run.views is not None
    assert run.render(run.views.cameras[:1]).isfinite().all()


def test_edits_that_cannot_be_made_are_refused(
    scene: Scene, autoencoder: Autoencoder, generated: Path, prior_run: Path, tmp_path: Path
) -> None:
    def attempt(run: Path, to: str | None = "marble", **options: object) -> None:
        edit(run, to, prior=prior_run, out=tmp_path / "run", **options)  # type: ignore[arg-type]

    with pytest.raises(InputError, match="to: is missing; expected a class, or `image`"):
        attempt(generated, None)
    with pytest.raises(InputError, match=r"category: is 'dragon'; the prior .* knows ball, marble"):
        attempt(generated, "dragon")
    with pytest.raises(InputError, match=r"box: is \(0, 0, 0, 1, 1, -1\); expected six numbers"):
        attempt(generated, box=(0, 0, 0, 1, 1, -1))
    with pytest.raises(InputError, match="is not a run"):
        attempt(tmp_path)
    fit(scene, None, out=tmp_path / "rgb", config=TINY_FIT.with_steps(supervision=1, alignment=0))
    filtered = replace(TINY_GAUSSIANS, sampling=MipSplattingConfig())
    for name, config, message in (
        ("both", replace(TINY_FIT, space="both"), "has colours beside latents"),
        ("filtered", filtered, "has Gaussians smoothed as training views tell"),
    ):
        fit(scene, autoencoder, out=tmp_path / name, config=config.with_steps(supervision=1, alignment=0))
        with pytest.raises(InputError, match=message):
            attempt(tmp_path / name)
    with pytest.raises(InputError, match="is a scene in RGB; expected one in the latent space of the prior"):
        attempt(tmp_path / "rgb")
    assert not (tmp_path / "run").exists()


def test_a_scene_in_another_space_is_refused(
    scene: Scene, autoencoder: Autoencoder, prior_run: Path, tmp_path: Path
) -> None:
    other = autoencoder.clone()
    next(other.encoder_parameters()).data.mul_(1.01)
    other.save(tmp_path / "other")
    fitted = fitted_run(
        scene, other, stored=tmp_path / "other", out=tmp_path / "fit", supervision=2, alignment=0
    )
    with pytest.raises(InputError, match=r"is a scene in the latent space of .*other'; the prior"):
        edit(fitted, "marble", prior=prior_run, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
