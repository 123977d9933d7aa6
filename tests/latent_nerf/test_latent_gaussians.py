"""Gaussians in latents and in RGB: what they render, how well short fits get, and what is stored of them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from helpers.tiny import TEST_VIEWS, TINY_FIT
from latentfields import FitConfig, fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cli.main import main
from latentfields.fields.config import GaussiansConfig, OptimizerConfig
from latentfields.fields.densification import GradientDensificationConfig, McmcDensificationConfig
from latentfields.fields.gaussians.field import PARAMETERS
from latentfields.latent_nerf import latent_gaussians
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import Space
from latentfields.latent_nerf.feature_trainer import FeatureTrainer, new_trainer
from latentfields.latent_nerf.latent_gaussians import LatentGaussians, reduction
from latentfields.latent_nerf.losses import splatting_loss
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.measures.metrics import LATENT_RANGE, ssim
from latentfields.rendering.config import MipSplattingConfig, SplattingConfig
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors

GAUSSIANS = replace(
    TINY_FIT,
    field=GaussiansConfig(initial=400),
    sampling=SplattingConfig(),
    subpixels=1,
    batch_images=1,
    decoder_learning_rate=2e-3,
)


def trained(scene: Scene, autoencoder: Autoencoder | None, config: FitConfig) -> LatentNerfTrainer:
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)
    return trainer


def one_gaussian(
    model: LatentGaussians, mean: tuple[float, float, float], *, features: float
) -> LatentGaussians:
    """An almost opaque ball of radius 0.2 in place of what `model` has."""
    rows = {name: torch.zeros(1, *getattr(model.field, name).shape[1:]) for name in PARAMETERS}
    rows["means"] = torch.tensor([mean])
    rows["scales"] += torch.log(torch.tensor(0.2))
    rows["rotations"][:, 0] = 1
    rows["opacities"] += 20
    rows["features_dc"] += features
    model.field.set_rows(rows)
    return model


@torch.no_grad()
def test_depth_is_a_distance_along_the_ray_and_far_where_nothing_is(scene: Scene) -> None:
    config = replace(GAUSSIANS, space="rgb")
    model = new_model(scene, None, config)
    assert isinstance(model, LatentGaussians)
    cameras = scene.cameras[:1]
    # Seen at an angle, where the depth along the viewing axis is another.
    ray = cameras.rays_at(torch.tensor([[[4.5, 4.5]]]))
    distance = 2.5
    mean = (ray.origins + distance * ray.directions)[0, 0]
    seen = one_gaussian(model, tuple(mean.tolist()), features=1.0).render_features(cameras)
    assert float(seen.opacity[0, 0, 4, 4]) > 0.95
    opacity = float(seen.opacity[0, 0, 4, 4])
    expected = opacity * distance + (1 - opacity) * model.far
    assert float(seen.depth[0, 0, 4, 4]) == pytest.approx(expected, rel=1e-3)
    assert float(seen.depth[0, 0, 25, 25]) == pytest.approx(model.far)


@torch.no_grad()
def test_the_splatting_that_is_configured_is_what_renders(scene: Scene) -> None:
    """A ball far smaller than a pixel: the blur makes it wider, antialiasing then takes away its opacity."""

    def opacity(splatting: SplattingConfig) -> Tensor:
        model = new_model(scene, None, replace(GAUSSIANS, space="rgb", sampling=splatting))
        assert isinstance(model, LatentGaussians)
        one_gaussian(model, (0.0, 0.0, 0.0), features=1.0).field.scales.fill_(math.log(1e-3))
        return model.render_features(scene.cameras[:1]).opacity

    plain = opacity(SplattingConfig())
    assert float(plain.max()) > 0.4
    assert float(opacity(SplattingConfig(antialiased=True)).max()) < 0.01 * float(plain.max())
    assert float(opacity(SplattingConfig(blur=3.0)).sum()) > 2 * float(plain.sum())


@pytest.mark.parametrize("strategy", [GradientDensificationConfig(), McmcDensificationConfig()])
def test_the_smoothing_filter_follows_the_gaussians(
    scene: Scene, autoencoder: Autoencoder, strategy: GradientDensificationConfig | McmcDensificationConfig
) -> None:
    """Its variance is 0.2 sampling intervals squared of the nearest training view, on the grid that is splatted."""
    options = replace(strategy, refinements=2, start=0.3, end=0.9)
    if isinstance(options, GradientDensificationConfig):
        options = replace(options, threshold=1e-6)
    field = GaussiansConfig(initial=50, densification=options)
    config = replace(GAUSSIANS, field=field, sampling=MipSplattingConfig(), subpixels=2)
    trainer = trained(scene, autoencoder, config.with_steps(supervision=10, alignment=0))
    model = trainer.model
    assert isinstance(model, LatentGaussians)
    assert len(model.variances) == len(model.field) > 50
    one_gaussian(model, (0.1, 0.0, 0.2), features=0.0)
    model.before_step(step=100, generator=trainer.generator)
    # Two splatted pixels per latent of four: intervals are those of pixels, times two.
    train = scene.cameras[scene.indices("train")]
    positions, depths = train.project(model.field.means.detach())
    assert bool(((positions > 0) & (positions < 32)).all())
    interval = 2 * float(depths.min()) / float(train.focal[0, 0])
    assert model.variances.tolist() == pytest.approx([0.2 * interval**2], rel=1e-4)
    scales = model.gaussians().scales[0].tolist()
    assert scales == pytest.approx([math.sqrt(0.04 + 0.2 * interval**2)] * 3, rel=1e-4)
    # Between updates it stays, and without one there is none.
    one_gaussian(model, (0.4, 0.0, 0.2), features=0.0)
    model.before_step(step=101, generator=trainer.generator)
    assert model.variances.tolist() == pytest.approx([0.2 * interval**2], rel=1e-4)
    plain = new_model(scene, autoencoder, GAUSSIANS)
    assert "variances" not in plain.scene_state()


@torch.no_grad()
def test_where_nothing_is_the_background_is_seen(scene: Scene, autoencoder: Autoencoder) -> None:
    model = new_model(scene, autoencoder, GAUSSIANS)
    assert isinstance(model, LatentGaussians)
    behind = -10 * scene.cameras.forward[0]
    seen = one_gaussian(model, tuple(behind.tolist()), features=1.0).render_features(scene.cameras[:1])
    expected = autoencoder.background_latent(scene.background)
    torch.testing.assert_close(seen.features, expected.view(1, -1, 1, 1).expand_as(seen.features))
    assert not isinstance(model.background, torch.nn.Parameter)
    opaque = new_model(replace(scene, alpha=None), autoencoder, GAUSSIANS)
    assert isinstance(opaque.background, torch.nn.Parameter)


@torch.no_grad()
def test_subpixels_start_as_their_mean(scene: Scene, autoencoder: Autoencoder) -> None:
    model = new_model(scene, autoencoder, replace(GAUSSIANS, subpixels=2))
    cameras = scene.cameras[:2]
    fine = model.render_pixels(cameras.resized(width=16, height=16), None)
    seen = model.render_features(cameras)
    torch.testing.assert_close(seen.features, torch.nn.functional.avg_pool2d(fine.features, 2))
    assert seen.features.shape == (2, 8, 8, 8)
    assert len(seen.splats) == 2


def test_centres_slow_down_exponentially_and_nothing_else_does(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    """As 3DGS: beside the schedule of the field, which is constant here, over each stage."""
    field = GaussiansConfig(initial=60, means_decay=0.01, optimizer=OptimizerConfig(schedule="constant"))
    config = replace(GAUSSIANS, field=field).with_steps(supervision=10, alignment=10)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    for index, (progress, of_stage) in enumerate(((0.0, 0.0), (0.25, 0.5), (0.4, 0.8), (0.75, 0.5))):
        trainer.step(index, progress)
        means, *others = trainer.optimizer.param_groups
        factor = config.alignment.learning_rate_factor if progress >= 0.5 else 1.0
        assert means["lr"] == pytest.approx(field.means_learning_rate * factor * 0.01**of_stage)
        assert all(group["lr"] == group["peak"] for group in others)


@pytest.mark.parametrize(
    ("side", "share", "expected"),
    [
        (1024, 0.6, [8, 8, 4, 4, 2, 2, 1, 1, 1, 1]),
        (512, 0.6, [4, 4, 4, 2, 2, 2, 1, 1, 1, 1]),
        (511, 0.6, [2, 2, 2, 2, 2, 2, 1, 1, 1, 1]),
        (256, 0.6, [2, 2, 2, 2, 2, 2, 1, 1, 1, 1]),
        (255, 0.6, [1] * 10),
        (32, 0.6, [1] * 10),
        (512, 1.0, [4] * 5 + [2] * 5),
        (512, 0.0, [1] * 10),
    ],
)
def test_views_double_in_equal_parts_of_the_share(side: int, share: float, expected: list[int]) -> None:
    # In the middle of every tenth: ends of parts are rounded.
    assert [reduction((tenth + 0.5) / 10, side=side, share=share) for tenth in range(10)] == expected
    assert reduction(1.0, side=side, share=share) == 1


@pytest.mark.parametrize("space", get_args(Space))
def test_colours_are_fitted_from_small_views_to_whole_ones_and_latents_are_not(
    scene: Scene, autoencoder: Autoencoder, space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_gaussians, "LOWEST_SIDE", 4)
    config = replace(GAUSSIANS, space=space).with_steps(supervision=16, alignment=4)
    model = new_model(scene, None if space == "rgb" else autoencoder, config)
    trainer = new_trainer(model, scene, config)
    colors = trainer.colors if isinstance(trainer, FeatureTrainer) else trainer
    sizes = []
    for index in range(trainer.total_steps):
        step = colors.backward(index, index / trainer.total_steps)
        colors.update(step)
        sizes.append(step.seen.features.shape[-1])
    if space == "latent":
        assert set(sizes) == {scene.size[1] // model.factor}
    else:
        assert sizes == [4] * 4 + [8] * 4 + [16] * 4 + [32] * 8
    if isinstance(trainer, FeatureTrainer):
        assert model.reduction(0.0, size=scene.size) == 1


def test_smaller_views_are_to_show_the_mean_of_their_pixels(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_gaussians, "LOWEST_SIDE", 8)
    ignored = torch.zeros_like(scene.pixels[:, :1], dtype=torch.bool)
    ignored[..., 21:] = True
    masked = replace(scene, ignored=ignored)
    config = replace(GAUSSIANS, space="rgb")
    model = new_model(masked, None, config)
    trainer = LatentNerfTrainer(model, masked, config)
    chosen = torch.tensor([0, 3])
    cameras, target, kept = trainer._views(chosen, progress=0.0)
    views = masked.indices("train")[chosen]
    expected = torch.nn.functional.avg_pool2d(masked.images(views), 4)
    torch.testing.assert_close(target, expected)
    assert (cameras.width, cameras.height) == (8, 8)
    # Of the sixth column of larger pixels a part is ignored.
    assert kept is not None
    assert kept.all(dim=0).all(dim=1).tolist() == [[True] * 5 + [False] * 3]
    assert not kept[..., 5:].any()
    # What is splatted there is the mean, too, of a Gaussian that is larger than a pixel.
    assert isinstance(model, LatentGaussians)
    one_gaussian(model, (0.0, 0.0, 0.0), features=1.0)
    with torch.no_grad():
        small = model.render_features(cameras).features
        large = model.render_features(scene.cameras[views]).features
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(large, 4), atol=0.03, rtol=0)


def test_points_count_where_smaller_views_show_them(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """An opaque ball whose centre is the only point: its depth is that of the ball, whatever the size."""
    monkeypatch.setattr(latent_gaussians, "LOWEST_SIDE", 8)
    photographs = replace(scene, points=torch.zeros(1, 3), point_colors=None)
    config = replace(GAUSSIANS, space="rgb", point_depth_weight=1.0)
    model = new_model(photographs, None, config)
    assert isinstance(model, LatentGaussians)
    one_gaussian(model, (0.0, 0.0, 0.0), features=1.0)
    trainer = LatentNerfTrainer(model, photographs, config)
    chosen = torch.tensor([0])
    losses = []
    for progress in (0.0, 0.4, 0.8):
        cameras, _, _ = trainer._views(chosen, progress=progress)
        with torch.no_grad():
            seen = model.render_features(cameras)
        cell = (scene.size[1] / cameras.width, scene.size[0] / cameras.height)
        losses.append(float(trainer._point_depth_loss(seen, chosen, None, cell=cell)))
    assert max(losses) < 0.1
    beside = float(trainer._point_depth_loss(seen, chosen, None, cell=(2, 2)))
    assert beside > 0.2


def test_the_loss_is_l1_and_d_ssim() -> None:
    torch.manual_seed(0)
    rendered, targets = torch.randn(2, 3, 12, 12), torch.randn(2, 3, 12, 12)
    expected = 0.7 * (rendered - targets).abs().mean() + 0.3 * (
        1 - ssim(rendered, targets, data_range=6.0).mean()
    )
    loss = splatting_loss(rendered, targets, structure_weight=0.3, data_range=LATENT_RANGE)
    torch.testing.assert_close(loss, expected)
    assert float(splatting_loss(targets, targets, structure_weight=0.3, data_range=1.0)) == pytest.approx(
        0, abs=1e-6
    )


@pytest.mark.slow
def test_a_short_fit_in_rgb(scene: Scene) -> None:
    # Few steps, few pixels: they are in a hurry, and there is room.
    field = GaussiansConfig(initial=400, colors_factor=1.0)
    config = replace(GAUSSIANS, field=field, space="rgb").with_steps(supervision=150, alignment=0)
    trainer = trained(scene, None, config)
    assert trainer.test_psnr(None) > 25


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [GradientDensificationConfig(), McmcDensificationConfig()])
def test_a_short_fit_in_latents(
    scene: Scene, autoencoder: Autoencoder, strategy: GradientDensificationConfig | McmcDensificationConfig
) -> None:
    config = replace(GAUSSIANS, field=GaussiansConfig(initial=400, densification=strategy))
    trainer = trained(scene, autoencoder, config.with_steps(supervision=100, alignment=100))
    assert trainer.after_supervision["test_psnr"] > 13
    assert trainer.test_psnr(None) > 17.5


def test_points_outside_of_the_box_are_fitted_in_a_photograph(scene: Scene, autoencoder: Autoencoder) -> None:
    torch.manual_seed(0)
    points = torch.cat([torch.randn(200, 3), 8 * torch.nn.functional.normalize(torch.randn(200, 3), dim=-1)])
    photographs = replace(scene, alpha=None, points=points, point_colors=None)
    trainer = trained(photographs, autoencoder, GAUSSIANS.with_steps(supervision=30, alignment=0))
    assert trainer.model.field.means.norm(dim=-1).max() > 5  # type: ignore[union-attr, operator]


@pytest.mark.slow
@pytest.mark.parametrize("space", ["latent", "rgb"])
def test_the_commands_of_nerfs_are_those_of_gaussians(
    scene_folder: Path,
    autoencoder_folder: Path,
    tmp_path: Path,
    space: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    main(
        [
            "fit",
            str(scene_folder),
            "--field",
            "gaussians",
            "--autoencoder",
            str(autoencoder_folder),
            "--out",
            str(out),
            "--space",
            space,
            "--supervision.steps",
            "3",
            "--alignment.steps",
            "2",
            "--field.initial",
            "60",
            "--densification",
            "mcmc",
            "--field.densification.growth",
            "0.1",
        ]
    )
    title = {"latent": "Latent Gaussians (", "rgb": "RGB Gaussians"}[space]
    assert title in (out / "report.html").read_text()
    main(["evaluate", str(out)])
    main(["render", str(out), "--out", str(tmp_path / "pictures")])
    assert len(list((tmp_path / "pictures").iterdir())) == TEST_VIEWS
    for kind in ("scene", "gaussians", "cameras"):
        main(["export", kind, str(out)])
    main(["render", str(out / "exports" / "scene.safetensors"), "--out", str(tmp_path / "film.gif")])
    with pytest.raises(SystemExit):
        main(["export", "mesh", str(out)])
    assert capsys.readouterr().err.endswith(
        f"error: {out}: has the field gaussians, which has no density to take a mesh from; export points\n"
    )


@pytest.mark.slow
def test_a_fit_repeats_its_bytes_and_reloads(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    field = GaussiansConfig(
        initial=50,
        densification=GradientDensificationConfig(refinements=2, start=0.2, end=0.5, threshold=1e-6),
    )
    config = replace(GAUSSIANS, field=field, subpixels=2).with_steps(supervision=8, alignment=3)
    runs = [fit(scene, autoencoder, out=tmp_path / name, config=config) for name in ("a", "b")]
    files = [(run.folder / "model.safetensors").read_bytes() for run in runs]
    assert files[0] == files[1]
    tensors = load_tensors(tmp_path / "a" / "model.safetensors")[0]
    assert len(tensors["field.means"]) > 50
    # Statistics are of no use any more.
    assert len(tensors["strategy.gradients"]) == 0
    cameras = scene.cameras[scene.indices("test")]
    assert torch.equal(Run.load(tmp_path / "a").render(cameras), runs[0].render(cameras))
