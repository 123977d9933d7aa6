"""A field and an analytic denoiser per view: distillation in closed form, without any network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.analytic_denoiser import GaussianDenoiser, cosine
from helpers.tiny import TINY_FIT, fitted_run
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.fields.config import GaussiansConfig
from latentfields.fields.densification import GradientDensificationConfig
from latentfields.generation.generate import generated_frame, new_scene
from latentfields.generation.trainer import (
    Anchor,
    SceneDistillation,
    generated_views,
    turn_directions,
)
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.priors.conditions import elevations
from latentfields.priors.config import DistillationConfig
from latentfields.priors.guidance import Delta, Distil
from latentfields.priors.prior import Rig
from latentfields.rendering.config import SplattingConfig
from latentfields.scenes.scene import Scene

RIG = Rig(distance=2.6, focal=1.6, lowest=-30, highest=60, extent=0.8)
SIZE = 32
FIT = replace(TINY_FIT, subpixels=1, batch_images=3)
PLAIN = DistillationConfig(guidance=1.0, highest_at_end=0.4, lowest_at_end=0.02)


@dataclass(frozen=True, eq=False)
class KnownScene:
    """A denoiser that believes in the views of a scene that is there, plus a shift; a `Guidance`."""

    known: SceneModel
    spread: float = 0.05
    shift: float = 0.0

    @property
    def denoiser(self) -> GaussianDenoiser:
        return GaussianDenoiser(cosine(100), spread=self.spread)

    @torch.no_grad()
    def conditions(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.known.render_features(RIG.cameras(directions, size=SIZE))
        return seen.features + self.shift, torch.zeros_like(seen.features)


@pytest.fixture(scope="module")
def known(
    scene: Scene, autoencoder: Autoencoder, autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A fitted sphere, in the autoencoder's latents themselves."""
    out = tmp_path_factory.mktemp("known") / "run"
    fitted_run(scene, autoencoder, stored=autoencoder_folder, out=out, supervision=60, alignment=0)
    return Run.load(out, device="cpu")


def distillation(
    known: SceneModel, autoencoder: Autoencoder, config: FitConfig, **changes: object
) -> SceneDistillation:
    model = new_scene(config, autoencoder, generated_frame(RIG, SIZE))
    pull = Distil(KnownScene(known), PLAIN)
    views = generated_views(RIG, size=SIZE)
    return SceneDistillation(model, pull, RIG, config, views, name="ball", **changes)  # type: ignore[arg-type]


def trained(trainer: SceneDistillation) -> SceneDistillation:
    for index in range(trainer.total_steps):
        trainer.step(index, index / trainer.total_steps)
    return trainer


def error(model: SceneModel, known: SceneModel) -> float:
    """Mean squared error of the latents of a turn."""
    cameras = RIG.cameras(turn_directions(RIG, 8), size=SIZE)
    rendered, wanted = (which.render(cameras)[1].features for which in (model, known))
    return float((rendered - wanted).square().mean())


GAUSSIANS = replace(
    FIT,
    field=GaussiansConfig(
        initial=200, degree=0, densification=GradientDensificationConfig(refinements=2, start=0.3, end=0.8)
    ),
    sampling=SplattingConfig(),
)


@pytest.mark.slow
@pytest.mark.parametrize(("config", "left"), [(FIT, 0.25), (GAUSSIANS, 0.5)], ids=["tri-planes", "gaussians"])
def test_a_known_scene_is_recovered(
    known: Run, autoencoder: Autoencoder, config: FitConfig, left: float
) -> None:
    config = config.with_steps(supervision=150, alignment=0)
    before = error(distillation(known.model, autoencoder, config).model, known.model)
    trainer = trained(distillation(known.model, autoencoder, config))
    assert error(trainer.model, known.model) < left * before


def test_same_seed_same_scene(known: Run, autoencoder: Autoencoder) -> None:
    config = FIT.with_steps(supervision=4, alignment=0)
    first, same, other = (
        trained(distillation(known.model, autoencoder, replace(config, seed=seed))).model.scene_state()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("config", [FIT, GAUSSIANS], ids=["tri-planes", "gaussians"])
def test_killed_and_resumed_equals_uninterrupted(
    known: Run, autoencoder: Autoencoder, config: FitConfig
) -> None:
    config = config.with_steps(supervision=8, alignment=0)
    whole = trained(distillation(known.model, autoencoder, config))
    killed, resumed = (distillation(known.model, autoencoder, config) for _ in range(2))
    for index in range(5):
        killed.step(index, index / 8)
    resumed.restore(*killed.state())
    for index in range(5, 8):
        resumed.step(index, index / 8)
    for name, tensor in whole.model.scene_state().items():
        assert torch.equal(resumed.model.scene_state()[name], tensor), name


def test_an_anchor_is_fitted_to(known: Run, autoencoder: Autoencoder) -> None:
    """Its gradient is its own error, whatever the prior thinks of the view."""
    direction = turn_directions(RIG, 8)[3]
    wanted = torch.full((8, 8, 8), 0.7)
    config = FIT.with_steps(supervision=4, alignment=0)
    trainer = distillation(known.model, autoencoder, config, anchor=Anchor(direction, wanted, 2.0))
    directions = trainer._directions()
    assert len(directions) == config.batch_images + 1
    torch.testing.assert_close(directions[-1], direction)
    latents = torch.randn(4, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    gradient = trainer._gradient(latents, directions, RIG.cameras(directions, size=SIZE), 0.5)
    torch.testing.assert_close(gradient[-1], 2 * (latents[-1] - wanted))


def edited(known: Run, *, shift: float, box: Tensor | None = None, steps: int = 20) -> SceneDistillation:
    """The known scene, led away from itself by a denoiser that believes in other latents."""
    model = Run.load(known.folder, device="cpu").model.requires_grad_(True)
    config = replace(DistillationConfig(guidance=1.0, weighting="uniform"))
    pull = Delta(KnownScene(known.model, shift=shift), KnownScene(known.model), config)
    views = generated_views(RIG, size=SIZE)
    fit = FIT.with_steps(supervision=steps, alignment=0)
    fit = replace(fit, subpixels=known.config.fit.subpixels)
    return trained(SceneDistillation(model, pull, RIG, fit, views, name="edit", source=known.model, box=box))


def test_an_edit_that_asks_for_what_is_there_changes_nothing(known: Run) -> None:
    trainer = edited(known, shift=0.0)
    for name, tensor in known.model.scene_state().items():
        assert torch.equal(trainer.model.scene_state()[name], tensor), name


@pytest.mark.slow
def test_an_edit_moves_what_differs(known: Run) -> None:
    cameras = RIG.cameras(turn_directions(RIG, 8), size=SIZE)
    before = known.model.render(cameras)[1]
    after = edited(known, shift=0.5, steps=60).model.render(cameras)[1]
    inside = (before.opacity > 0.9).expand_as(before.features)
    moved = (after.features - before.features)[inside].mean()
    assert 0.1 < moved < 0.6


@pytest.mark.slow
def test_an_edit_keeps_to_its_box(known: Run) -> None:
    """The surface in the upper half moves; the rest, which shares its networks, is held."""
    upper = torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 1.0]])
    trainer = edited(known, shift=0.5, box=upper, steps=60)
    cameras = RIG.cameras(turn_directions(RIG, 4, elevation=0.0), size=SIZE)
    before, after = known.model.render(cameras)[1], trainer.model.render(cameras)[1]
    change = (after.features - before.features).abs().mean(dim=(0, 1))
    assert change[:4].mean() > 2 * change[4:].mean()
    inside = trainer._inside(cameras, known.model.render_features(cameras))
    assert inside[:, :, :3].float().mean() > 0.3
    assert not inside[:, :, 5:].any()


def test_directions_are_spread_over_the_rig() -> None:
    drawn = RIG.random_directions(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(4000))
    heights = elevations(drawn)
    assert -30.1 < heights.min() < -28
    assert 58 < heights.max() < 60.1
    # Even on the sphere: the mean height is that of the zone.
    middle = (math.sin(math.radians(-30)) + math.sin(math.radians(60))) / 2
    assert abs(float(drawn[:, 2].mean()) - middle) < 0.02
    assert drawn[:, :2].mean(dim=0).abs().max() < 0.05


def test_views_of_a_generated_scene() -> None:
    views = generated_views(RIG, size=SIZE)
    assert len(views.training_cameras) == 48
    assert len(views.names) == len(views.cameras) == 56
    turn = views.cameras[views.splits["test"]]
    torch.testing.assert_close(turn.centers.norm(dim=1), torch.full((8,), RIG.distance))
    low = replace(RIG, lowest=30.0, highest=40.0)
    torch.testing.assert_close(elevations(turn_directions(low, 3)), torch.full((3,), 30.0), atol=1e-3, rtol=0)
