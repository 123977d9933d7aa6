"""Scenes with colours and latents: what they share, where gradients go, and what is stored of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.tiny import TEST_VIEWS, TINY_FIT
from latentfields import FitConfig, fit, preset
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cli.main import main
from latentfields.errors import InputError
from latentfields.fields.config import GaussiansConfig, KPlanesConfig, VanillaConfig
from latentfields.fields.densification import GradientDensificationConfig, McmcDensificationConfig
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.evaluate import evaluate_run, mean_scores
from latentfields.latent_nerf.feature_scene import (
    FeatureGaussians,
    FeatureNerf,
    FeatureScene,
    scaled_gradient,
)
from latentfields.latent_nerf.feature_trainer import new_trainer
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.rendering.config import (
    HierarchicalSamplingConfig,
    MipSplattingConfig,
    ProposalSamplingConfig,
    SplattingConfig,
)
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors, save_tensors

BOTH = replace(TINY_FIT, space="both")
DENSE = GradientDensificationConfig(refinements=3, start=0.2, end=0.9, opacity_resets=1, threshold=1e-6)
GAUSSIANS = replace(BOTH, field=GaussiansConfig(initial=60, degree=1), sampling=SplattingConfig())
KINDS: dict[str, FitConfig] = {
    "triplane": BOTH,
    "proposals": replace(
        BOTH,
        field=KPlanesConfig(resolution=8, scales=(1, 2), features=4, hidden=8),
        sampling=ProposalSamplingConfig(
            samples=6, proposal_samples=(10,), resolutions=(4,), features=2, hidden=4, anneal_steps=8
        ),
    ),
    "coarse network": replace(
        BOTH,
        field=VanillaConfig(layers=2, width=8, skip_after=1),
        sampling=HierarchicalSamplingConfig(coarse_samples=6, fine_samples=6),
    ),
    "gaussians": replace(
        GAUSSIANS, field=GaussiansConfig(initial=60, degree=1, degree_every=0.3, densification=DENSE)
    ),
    "gaussians by mcmc, filtered": replace(
        GAUSSIANS,
        field=GaussiansConfig(
            initial=60, densification=McmcDensificationConfig(refinements=3, start=0.2, end=0.9)
        ),
        sampling=MipSplattingConfig(),
    ),
}


def trained(scene: Scene, autoencoder: Autoencoder | None, config: FitConfig) -> LatentNerfTrainer:
    trainer = new_trainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)
    return trainer


def geometry(model: FeatureScene) -> list[Tensor]:
    """What colours and latents share."""
    if isinstance(model, FeatureNerf):
        assert isinstance(model.colors, LatentNerf)
        return list(model.colors.field.parameters())
    assert isinstance(model.colors, LatentGaussians)
    field = model.colors.field
    return [field.means, field.rotations, field.scales, field.opacities]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_those_of_a_fit_in_rgb_bit_for_bit(
    scene: Scene, autoencoder: Autoencoder, kind: str
) -> None:
    config = KINDS[kind].with_steps(supervision=6, alignment=4)
    both = trained(scene, autoencoder, config).model
    alone = trained(scene, None, replace(config, space="rgb")).model
    assert isinstance(both, FeatureScene)
    assert both.pictures is both.colors
    assert alone.pictures is alone
    # The one rate that differs: a fit in RGB space with Latent Supervision's factor, which is 1 here.
    assert config.supervision.learning_rate_factor == 1
    expected = alone.scene_state()
    assert {
        name for name, value in both.colors.scene_state().items() if not value.equal(expected[name])
    } == set()
    if isinstance(both, FeatureGaussians):
        assert len(both.values.features_dc) == len(both.colors.field.means)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_latents_move_the_geometry_as_much_as_is_configured(
    scene: Scene, autoencoder: Autoencoder, kind: str, weight: float
) -> None:
    def gradients(config: FitConfig) -> tuple[list[Tensor], list[Tensor]]:
        """Of the geometry, and of the values, of the latents' loss alone."""
        model = new_model(scene, autoencoder, config)
        assert isinstance(model, FeatureScene)
        for parameter in model.values.parameters():
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
        seen = model.render_features(scene.cameras[:2]).features
        model.supervision_loss(seen, torch.ones_like(seen)).backward()
        assert all(part.grad is None for part in model.colors.parameters()) == (
            config.geometry_from_latents == 0
        )
        shared = [torch.zeros_like(p) if p.grad is None else p.grad for p in geometry(model)]
        return shared, [torch.zeros_like(p) if p.grad is None else p.grad for p in model.values.parameters()]

    shared, values = gradients(replace(KINDS[kind], geometry_from_latents=weight))
    whole, expected = gradients(replace(KINDS[kind], geometry_from_latents=1.0))
    assert any(bool(gradient.any()) for gradient in whole)
    for gradient, all_of_it in zip(shared, whole, strict=True):
        torch.testing.assert_close(gradient, weight * all_of_it)
    for gradient, same in zip(values, expected, strict=True):
        torch.testing.assert_close(gradient, same)
    assert any(bool(gradient.any()) for gradient in values)


def test_a_gradient_is_scaled_and_nothing_else() -> None:
    value = torch.tensor([2.0, -3.0], requires_grad=True)
    scaled = scaled_gradient(value, 0.5)
    assert torch.equal(scaled, value)
    scaled.square().sum().backward()
    assert value.grad is not None
    torch.testing.assert_close(value.grad, value.detach())
    assert not scaled_gradient(value, 0.0).requires_grad


@torch.no_grad()
@pytest.mark.parametrize("kind", ["triplane", "gaussians"])
def test_both_are_seen_through_one_geometry(scene: Scene, autoencoder: Autoencoder, kind: str) -> None:
    """On one grid, opacity and depth are the same: only the values differ."""
    model = new_model(scene, autoencoder, replace(KINDS[kind], subpixels=1))
    assert isinstance(model, FeatureScene)
    grid = scene.cameras[:2].resized(width=8, height=8)
    latents, colors = model.render_pixels(grid, None), model.colors.render_pixels(grid, None)
    assert latents.features.shape == (2, 8, 8, 8)
    assert colors.features.shape == (2, 3, 8, 8)
    torch.testing.assert_close(latents.opacity, colors.opacity)
    torch.testing.assert_close(latents.depth, colors.depth)
    images, seen = model.render(scene.cameras[:2])
    assert images.shape == (2, 3, 32, 32)
    assert seen.features.shape == (2, 8, 8, 8)


QUALITY = {
    "triplane": (replace(BOTH, decoder_learning_rate=2e-3), 24.0, 18.5),
    "gaussians": (
        replace(
            GAUSSIANS,
            # Few steps, few pixels: they are in a hurry, and there is room.
            field=GaussiansConfig(initial=400, colors_factor=1.0),
            sampling=MipSplattingConfig(),
            batch_images=1,
            decoder_learning_rate=2e-3,
        ),
        27.0,
        19.5,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", QUALITY)
def test_a_short_fit_reaches_a_quality_in_both(scene: Scene, autoencoder: Autoencoder, kind: str) -> None:
    config, colors, decoded = QUALITY[kind]
    trainer = trained(scene, autoencoder, config.with_steps(supervision=130, alignment=100))
    scores = trainer.after_supervision
    assert scores["test_psnr"] > 15.5
    assert trainer.test_psnr(None) > max(decoded, scores["test_psnr"] + 1)
    assert trainer.test_latent_psnr() > 20
    images, _ = trainer.model.pictures.render(scene.cameras[scene.indices("test")])
    error = (images - scene.images(scene.indices("test"))).square().mean()
    assert float(-10 * error.log10()) > colors


@pytest.mark.slow
def test_the_filters_make_gaussians_fit_both_resolutions(scene: Scene, autoencoder: Autoencoder) -> None:
    """Dilated Gaussians that fit pixels cover too much of a latent, where one splatted pixel is four of the image."""
    config, _, _ = QUALITY["gaussians"]
    scores = []
    for sampling in (SplattingConfig(), MipSplattingConfig()):
        short = replace(config, subpixels=1, sampling=sampling).with_steps(supervision=100, alignment=0)
        scores.append(trained(scene, autoencoder, short).test_latent_psnr())
    assert scores[1] > scores[0] + 2


@pytest.mark.parametrize("kind", ["triplane", "gaussians by mcmc, filtered"])
def test_what_is_saved_is_loaded(scene: Scene, autoencoder: Autoencoder, tmp_path: Path, kind: str) -> None:
    config = KINDS[kind].with_steps(supervision=4, alignment=3)
    run = fit(scene, autoencoder, out=tmp_path / "run", config=config)
    loaded = Run.load(tmp_path / "run")
    assert loaded.config.fit == config
    cameras = scene.cameras[scene.indices("test")]
    pictures = {}
    for show in ("colors", "decoded"):
        pictures[show] = run.render(cameras, show=show)
        assert torch.equal(loaded.render(cameras, show=show), pictures[show])
    assert torch.equal(run.render(cameras), pictures["colors"])
    assert not torch.equal(pictures["colors"], pictures["decoded"])
    scores = mean_scores(evaluate_run(loaded, scene=scene, autoencoder=autoencoder))
    assert list(scores) == ["images", "colors", "latents", "against_autoencoded", "autoencoder"]
    for group, show in (("images", "decoded"), ("colors", "colors")):
        errors = (pictures[show] - scene.images(scene.indices("test"))).square().flatten(1).mean(1)
        assert scores[group]["psnr"] == pytest.approx(float(-10 * errors.log10().mean()), abs=1e-3)
    # Finished: the same arguments read it again.
    again = fit(scene, autoencoder, out=tmp_path / "run", config=config)
    assert torch.equal(again.render(cameras), pictures["colors"])


@pytest.mark.parametrize(
    "name", ["colors.variances", "colors.background", "values.features_dc", "values.features_rest"]
)
def test_files_whose_halves_do_not_fit_are_refused(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path, name: str
) -> None:
    config = KINDS["gaussians by mcmc, filtered"].with_steps(supervision=1, alignment=0)
    fit(scene, autoencoder, out=tmp_path / "run", config=config)
    file = tmp_path / "run" / "model.safetensors"
    tensors, metadata = load_tensors(file)
    save_tensors(file, tensors | {name: tensors[name][1:]}, metadata)
    if name == "values.features_rest":
        save_tensors(file, {key: value for key, value in tensors.items() if key != name}, metadata)
    expected = r"expected \(3,\)" if name == "colors.background" else "does not fit config.json"
    with pytest.raises(InputError, match=rf"model.safetensors: .*{expected}"):
        Run.load(tmp_path / "run")


def test_a_photographs_backgrounds_are_learned(scene: Scene, autoencoder: Autoencoder) -> None:
    model = new_model(replace(scene, alpha=None), autoencoder, BOTH)
    assert isinstance(model.background, torch.nn.Parameter)
    assert isinstance(model.pictures.background, torch.nn.Parameter)
    assert model.pictures.background.shape == (3,)


def test_the_python_door_says_both(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    for arguments, message in (
        ({"autoencoder": None, "space": "both"}, "space: is 'both' with no `autoencoder`"),
        ({"autoencoder": autoencoder, "space": "rgb"}, "space: is 'rgb' with an `autoencoder`"),
        (
            {"autoencoder": autoencoder, "space": "both", "config": TINY_FIT},
            "space: is 'both' beside `config`",
        ),
    ):
        with pytest.raises(InputError, match=message):
            fit(scene, out=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_presets_fit_colours_as_in_rgb() -> None:
    for field in ("kplanes", "tensorf", "gaussians"):
        for name in ("small", "paper"):
            both, rgb = (preset(field, name, space=space) for space in ("both", "rgb"))
            both.check()
            alone = rgb.in_one_stage()
            assert both.of_colors().field == alone.field
            assert both.of_colors().supervision.steps == alone.supervision.steps
            assert both.of_colors().batch_rays == alone.batch_rays
            assert both.alignment == preset(field, name).alignment
            assert both.of_latents().space == "latent"


@pytest.mark.slow
@pytest.mark.parametrize("field", ["triplane", "gaussians"])
def test_every_command_knows_both(
    scene_folder: Path,
    autoencoder_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    field: str,
) -> None:
    out = tmp_path / "run"
    gaussians = field == "gaussians"
    small = ["--field.initial", "60", "--sampler", "mip-splatting"] if gaussians else ["--batch-rays", "512"]
    # Surfaces are exported only where there are any.
    steps = ["--supervision.steps", "3" if gaussians else "60", "--alignment.steps", "2", *small]
    where = [str(scene_folder), "--field", field, "--autoencoder", str(autoencoder_folder), "--out", str(out)]
    main(["fit", *where, "--space", "both", "--geometry-from-latents", "0.5", *steps])
    page = (out / "report.html").read_text()
    title = "RGB and latent Gaussians (" if gaussians else "RGB and latent NeRF (triplane"
    for words in (title, ": colours", "Rendered colours against the images", "Rendered latents"):
        assert words in page
    capsys.readouterr()
    main(["evaluate", str(out)])
    printed = capsys.readouterr().out
    assert "colors " in printed
    assert "latents " in printed
    for kind in ("scene", "cameras", *(("gaussians",) if gaussians else ("mesh", "points"))):
        main(["export", kind, str(out), *(("--resolution", "48") if kind == "mesh" else ())])
    pictures = {}
    for source in (out, out / "exports" / "scene.safetensors"):
        for show in ("colors", "decoded"):
            folder = tmp_path / f"{source.name}-{show}"
            main(["render", str(source), "--out", str(folder), "--show", show])
            files = sorted(folder.iterdir())
            assert len(files) == TEST_VIEWS
            pictures[source.name, show] = [file.read_bytes() for file in files]
    assert pictures["run", "colors"] == pictures["scene.safetensors", "colors"]
    assert pictures["run", "decoded"] == pictures["scene.safetensors", "decoded"]
    assert pictures["run", "colors"] != pictures["run", "decoded"]


def test_a_scene_of_latents_alone_has_no_colours(latent_run: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(
            [
                "render",
                str(latent_run),
                "--out",
                str(tmp_path / "film.gif"),
                "--show",
                "colors",
                "--views",
                "orbit",
            ]
        )
    assert not (tmp_path / "film.gif").exists()
