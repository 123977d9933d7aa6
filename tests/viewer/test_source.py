"""What can be opened: runs in both spaces, and IG-AE's set of scenes in both phases."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.tiny import TINY_FIT, TINY_GAUSSIANS
from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.generation.generate import generated_frame, new_scene
from latentfields.generation.trainer import SceneDistillation, generated_views
from latentfields.igae.finetune import START_STATISTICS_FILE
from latentfields.latent_nerf.config import Space
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.measures.metrics import psnr
from latentfields.priors.guidance import ViewedFrom
from latentfields.priors.prior import Rig
from latentfields.scenes.scene import Scene
from latentfields.viewer.frames import Choice, draw, kinds
from latentfields.viewer.gate import TrainingGate
from latentfields.viewer.source import Source, open_source, training_source

CPU = torch.device("cpu")


def opened(folder: Path, *, scene: Path | None = None, cache: Path | None = None) -> Source:
    return open_source(folder, scene=scene, cache=cache, device=CPU)


def test_a_latent_run_renders_as_the_run_itself(latent_run: Path, scene: Scene) -> None:
    source = opened(latent_run)
    (shown,) = source.scenes
    assert (source.title, source.folder) == ("sphere (triplane)", latent_run)
    assert (shown.channels, shown.factor) == (8, 4)
    train = scene.indices("train")
    assert len(shown.cameras) == len(shown.view_names) == len(train)
    torch.testing.assert_close(shown.images(torch.tensor([3])), scene.images(train[[3]]))
    images, _ = shown.render(shown.cameras[[1, 4]])
    torch.testing.assert_close(images, Run.load(latent_run).render(scene.cameras[train[[1, 4]]]))


def test_a_scene_is_seen_while_it_is_generated(autoencoder: Autoencoder) -> None:
    """From the cameras that it will have; there are no photographs beside it."""
    rig = Rig(distance=2.4, focal=1.2, lowest=-10, highest=50, extent=0.7)
    config = replace(TINY_FIT, subpixels=1).with_steps(supervision=2, alignment=0)
    model = new_scene(config, autoencoder, generated_frame(rig, 32))

    def pull(
        latents: torch.Tensor, views: ViewedFrom, *, progress: float, generator: torch.Generator
    ) -> torch.Tensor:
        return latents - 1

    trainer = SceneDistillation(model, pull, rig, config, generated_views(rig, size=32), name="cloud")
    source = training_source(trainer, TrainingGate(trainer), Path("run"))
    (shown,) = source.scenes
    assert (source.title, shown.has_images, len(shown.cameras)) == ("cloud (triplane, training)", False, 48)
    before = shown.render(shown.cameras[[0]])[0]
    trainer.step(0, 0.0)
    assert not torch.equal(shown.render(shown.cameras[[0]])[0], before)


def test_an_rgb_run_has_no_latents(scene: Scene, tmp_path: Path) -> None:
    fit(scene, None, out=tmp_path / "rgb", config=TINY_FIT.with_steps(supervision=2, alignment=0))
    (shown,) = opened(tmp_path / "rgb").scenes
    assert kinds(shown) == ("RGB", "Depth", "Error")
    for kind in kinds(shown):
        frame = draw(shown, shown.cameras[[0]].resized(width=20, height=12), Choice(kind), aspect=20 / 12)
        assert frame.pixels.ndim == 3


@pytest.mark.slow
@pytest.mark.parametrize(("space", "count"), [("latent", 5), ("rgb", 3), ("both", 6)])
def test_gaussians_show_everything_that_fields_do(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, space: Space, count: int
) -> None:
    config = replace(TINY_GAUSSIANS, space=space).with_steps(supervision=2, alignment=1)
    run = fit(scene, None if space == "rgb" else autoencoder, out=tmp_path / "run", config=config)
    source = opened(tmp_path / "run")
    (shown,) = source.scenes
    assert source.title == "sphere (gaussians)"
    size = shown.cameras[[0]].resized(width=20, height=12)
    for kind in kinds(shown):
        frame = draw(shown, size, Choice(kind), aspect=20 / 12)
        assert frame.pixels.shape[2] == 3
    assert len(kinds(shown)) == count
    assert shown.has_colors == (space == "both")
    if shown.has_colors:
        view = shown.cameras[[1]]
        torch.testing.assert_close(shown.render_colors(view)[0], run.render(view, show="colors"))
        torch.testing.assert_close(shown.render(view)[0], run.render(view, show="decoded"))


def test_a_scene_file_is_shown_without_the_scene(
    latent_run: Path, scene: Scene, scene_folder: Path, tmp_path: Path
) -> None:
    run = Run.load(latent_run)
    assert isinstance(run.config, FitRunConfig)
    run.config = replace(run.config, scene=tmp_path / "gone")
    file = tmp_path / "scene.safetensors"
    run.write_file(file, SceneCameras.of(scene))
    source = opened(file)
    (shown,) = source.scenes
    assert (source.title, source.folder) == ("gone (triplane)", tmp_path)
    assert kinds(shown) == ("RGB", "Latent components", "Latent channel", "Depth")
    assert shown.view_names == opened(latent_run).scenes[0].view_names
    for kind in kinds(shown):
        draw(shown, shown.cameras[[0]], Choice(kind), aspect=1.0)
    images, seen = shown.render(shown.cameras[[1]])
    assert shown.geometry(shown.cameras[[1]]).depth.shape == (1, 1, 32, 32)
    assert seen.depth.shape[-1] < 32
    torch.testing.assert_close(images, run.render(scene.cameras[scene.indices("train")[[1]]]))
    # With the photographs there are errors to be shown, too.
    assert kinds(opened(file, scene=scene_folder).scenes[0])[-1] == "Error"


def test_the_scene_of_a_run_may_have_moved(latent_run: Path, scene_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(latent_run, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"scene": "gone", "places": None}))
    with pytest.raises(InputError, match="gone: there is no such folder"):
        opened(copy)
    assert len(opened(copy, scene=scene_folder).scenes) == 1


@pytest.mark.slow
def test_latent_scenes_look_like_their_training_views(igae_run: Path) -> None:
    source = opened(igae_run)
    assert source.title == "2 latent scenes"
    assert [scene.name for scene in source.scenes] == ["vase-0", "vase-1"]
    fits = torch.zeros(2, 2)
    for row, rendered in enumerate(source.scenes):
        images, view = rendered.render(rendered.cameras)
        assert view.features.shape == (6, 8, 8, 8)
        assert view.depth.shape == view.opacity.shape == (6, 1, 8, 8)
        for column, true in enumerate(source.scenes):
            fits[row, column] = psnr(images, true.images(torch.arange(6))).mean()
        # The object is nearer than what lies behind it.
        surface = view.opacity > 0.9
        assert view.depth[surface].mean() < view.depth[~surface].mean()
    # Every scene shows its own object, decoded on the scale that it was trained on.
    assert fits[0, 0] > fits[0, 1] + 2
    assert fits[1, 1] > fits[1, 0] + 2
    assert fits.diagonal().min() > 13


def test_latent_scenes_of_the_first_phase(igae_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(igae_run, copy)
    shutil.rmtree(copy / "joint")
    late, early = opened(igae_run).scenes[0], opened(copy).scenes[0]
    camera = late.cameras[[0]]
    first, second = (scene.render(camera)[0] for scene in (early, late))
    assert 20 < float(psnr(first, second)[0]) < 90
    shutil.rmtree(copy / "pretraining")
    with pytest.raises(InputError, match="has no checkpoint yet"):
        opened(copy)


def test_what_cannot_be_opened(igae_run: Path, latent_run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a run"):
        opened(tmp_path)
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json: field 'top level' should be an object"):
        opened(tmp_path / "list")
    with pytest.raises(InputError, match="is a run of `autoencoder finetune-3d`"):
        Run.load(igae_run)
    with pytest.raises(InputError, match="scene: is of no use"):
        opened(igae_run, scene=tmp_path)
    with pytest.raises(InputError, match="cache: is of no use"):
        opened(latent_run, cache=tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(igae_run, copy)
    (copy / START_STATISTICS_FILE).unlink()
    with pytest.raises(InputError, match=r"start_statistics\.json: no such file"):
        opened(copy)
    config = json.loads((copy / "config.json").read_text())
    config["training"]["ablation"] = "no-3d"
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="without latent scenes"):
        opened(copy)


def test_one_projection_for_all_pictures(latent_run: Path, igae_run: Path, autoencoder: Autoencoder) -> None:
    for folder in (latent_run, igae_run):
        shown = opened(folder).scenes[0]
        assert shown.projection is shown.projection
        assert shown.projection.mean.shape == (autoencoder.channels,)
