"""Fits to few views: a denoiser in closed form that believes in a known scene, and a prior of a few steps."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.analytic_denoiser import GaussianDenoiser, cosine
from helpers.tiny import TINY_FIT, TINY_GAUSSIANS, fitted_run, sphere_cameras
from latentfields import fit
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.errors import ArgumentError, InputError
from latentfields.latent_nerf import fit as fit_module
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.few_views import UnseenViews, looked_at, rig_of
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.priors.config import FewViewsConfig
from latentfields.priors.guidance import Distil, Pull
from latentfields.priors.prior import Rig
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import with_few_views
from latentfields.training.loop import LoopConfig

ORIGIN = torch.zeros(3)
RIG = Rig(distance=2.6, focal=1.6, lowest=-30, highest=60, extent=0.8)
SIX_AND_FOUR = replace(TINY_FIT, subpixels=1).with_steps(supervision=6, alignment=4)


@pytest.fixture(scope="module")
def few(scene: Scene) -> Scene:
    return with_few_views(scene, 2)


def shifted(cameras: Cameras, by: Tensor) -> Cameras:
    poses = cameras.camera_to_world.clone()
    poses[:, :3, 3] += by
    return replace(cameras, camera_to_world=poses)


def test_the_point_that_cameras_look_at() -> None:
    by = torch.tensor([0.2, -0.1, 0.3])
    cameras = shifted(sphere_cameras(5), by)
    torch.testing.assert_close(looked_at(cameras), by, atol=2e-3, rtol=0)
    rig, centre = rig_of(cameras, known=RIG)
    torch.testing.assert_close(centre, looked_at(cameras))
    assert rig.distance == pytest.approx(3.0, abs=0.01)
    assert rig.focal == pytest.approx(1.6)
    assert (rig.lowest, rig.highest) == (RIG.lowest, RIG.highest)


def test_one_camera_looks_at_the_point_of_its_axis_that_is_nearest_to_the_origin() -> None:
    camera = shifted(sphere_cameras(1), torch.tensor([0.3, 0.0, 0.0]))
    found = looked_at(camera)
    along = camera.forward[0]
    nearest = camera.centers[0] - (camera.centers[0] @ along) * along
    torch.testing.assert_close(found, nearest, atol=2e-3, rtol=0)


@dataclass(frozen=True, eq=False)
class KnownScene:
    """A denoiser that believes in the views of a scene that is there; a `Guidance`."""

    known: SceneModel
    rig: Rig
    centre: Tensor
    size: int

    @property
    def denoiser(self) -> GaussianDenoiser:
        return GaussianDenoiser(cosine(100), spread=0.05)

    @torch.no_grad()
    def conditions(self, directions: Tensor) -> tuple[Tensor, Tensor]:
        cameras = self.rig.cameras(directions, size=self.size, centre=self.centre)
        seen = self.known.render_features(cameras)
        latents = self.known.space.latents(seen.features)
        return latents, torch.zeros_like(latents)


def unseen_views(
    autoencoder: Autoencoder,
    options: FewViewsConfig,
    *,
    pull: Pull = lambda latents, views, *, progress, generator: latents,
    rig: Rig = RIG,
    centre: Tensor = ORIGIN,
) -> UnseenViews:
    white = autoencoder.background_latent((1.0, 1.0, 1.0)).detach()
    return UnseenViews(pull, rig, centre, 32, autoencoder, white, options)


def error_of(model: SceneModel, known: SceneModel, cameras: Cameras) -> float:
    rendered, wanted = (which.render(cameras)[1].features for which in (model, known))
    return float((rendered - wanted).square().mean())


@pytest.mark.slow
@pytest.mark.parametrize("config", [TINY_FIT, TINY_GAUSSIANS], ids=["tri-planes", "gaussians"])
def test_views_that_were_not_taken_are_those_that_the_prior_believes_in(
    scene: Scene,
    few: Scene,
    autoencoder: Autoencoder,
    autoencoder_folder: Path,
    tmp_path: Path,
    config: FitConfig,
) -> None:
    """Two views, and a denoiser that knows the scene: half of the error of two views alone is left, or less."""
    fitted_run(
        scene, autoencoder, stored=autoencoder_folder, out=tmp_path / "known", supervision=60, alignment=0
    )
    known = Run.load(tmp_path / "known", device="cpu").model
    options = FewViewsConfig(
        weight=1.0, appearance=1.0, highest_at_end=0.4, lowest_at_start=0.5, lowest_at_end=0.02
    )
    config = replace(config, subpixels=1).with_steps(supervision=100, alignment=0)
    rig, centre = rig_of(scene.cameras, known=RIG)
    guidance = KnownScene(known, rig, centre, scene.size[0])
    unseen = unseen_views(autoencoder, options, pull=Distil(guidance, options), rig=rig, centre=centre)
    errors = []
    for regularised in (None, unseen):
        model = new_model(few, autoencoder, config)
        trainer = LatentNerfTrainer(model, few, config, unseen=regularised)
        for index in range(trainer.total_steps):
            trainer.step(index, index / trainer.total_steps)
        errors.append(error_of(model, known, scene.cameras[scene.indices("test")]))
    assert errors[1] < 0.5 * errors[0]


def test_latents_are_those_of_the_priors_own_scale(few: Scene, autoencoder: Autoencoder) -> None:
    """A fit may give latents the scale of its own scene; what the prior is shown does not depend on it."""
    other = autoencoder.clone()
    other.set_statistics(other.measure_statistics(0.5 * few.images(few.indices("train"))))
    latents = autoencoder.encode(few.images(few.indices("test")))
    unseen = unseen_views(autoencoder, FewViewsConfig())
    model = new_model(few, other, replace(TINY_FIT, subpixels=1))
    rescaled = other.normalized(autoencoder.raw(latents))
    torch.testing.assert_close(unseen._known_latents(rescaled, model), latents, atol=1e-4, rtol=1e-4)


def test_the_pull_reaches_shape_whole_and_appearance_in_part(autoencoder: Autoencoder) -> None:
    """z = o f + (1 - o) b: of a pull g, opacity gets g (f - b), and surfaces the configured share of o g."""
    unseen = unseen_views(autoencoder, FewViewsConfig(appearance=0.25))
    drawn = torch.Generator().manual_seed(0)
    surface = torch.randn(2, 8, 4, 4, generator=drawn).requires_grad_()
    opacity = (0.1 + 0.9 * torch.rand(2, 1, 4, 4, generator=drawn)).requires_grad_()
    pull = torch.randn(2, 8, 4, 4, generator=drawn)
    behind = unseen.background.view(1, -1, 1, 1)
    latents = opacity * surface + (1 - opacity) * behind
    moved = unseen.moved(latents, opacity)
    torch.testing.assert_close(moved, latents)
    (moved * pull).sum().backward()
    assert opacity.grad is not None
    assert surface.grad is not None
    torch.testing.assert_close(opacity.grad, ((surface - behind) * pull).sum(dim=1, keepdim=True).detach())
    torch.testing.assert_close(surface.grad, 0.25 * (opacity * pull).detach())


def dying_at(death: int) -> Callable[..., object]:
    step = LatentNerfTrainer.step

    def dying(self: LatentNerfTrainer, index: int, progress: float) -> dict[str, float | str]:
        values = step(self, index, progress)
        if index == death:
            raise RuntimeError("the process died here")
        return values

    return dying


@pytest.mark.slow
def test_died_and_resumed_equals_uninterrupted(
    few: Scene, autoencoder: Autoencoder, prior_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        fit_module, "LoopConfig", functools.partial(LoopConfig, checkpoint_seconds=0, log_every=1)
    )

    def fitted(name: str, prior: Path | None = prior_run) -> Run:
        return fit(few, autoencoder, out=tmp_path / name, config=SIX_AND_FOUR, prior=prior, device="cpu")

    straight = fitted("straight")
    assert isinstance(straight.config, FitRunConfig)
    assert straight.config.few_views == FewViewsConfig()
    for death in (2, 7):
        with monkeypatch.context() as patch:
            patch.setattr(LatentNerfTrainer, "step", dying_at(death))
            with pytest.raises(RuntimeError, match="died here"):
                fitted("resumed")
    fitted("resumed")
    fitted("without", prior=None)
    file = "model.safetensors"
    bytes_of = {name: (tmp_path / name / file).read_bytes() for name in ("straight", "resumed", "without")}
    assert bytes_of["resumed"] == bytes_of["straight"]
    assert bytes_of["without"] != bytes_of["straight"]
    # Finished: read, not made again; and another run where nothing regularises it.
    assert fitted("straight").config == straight.config
    with pytest.raises(InputError, match="prior"):
        fitted("straight", prior=None)


Change = Callable[[Scene], Scene]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda scene: replace(scene, bounds="scene"), "has no bounds; the prior .* knows single objects"),
        (lambda scene: replace(scene, alpha=None), "has no alpha; the prior .* knows objects on white"),
        (lambda scene: replace(scene, background=(0.0, 0.0, 0.0)), "has the background .*knows white"),
        (lambda scene: scene.resized(width=24, height=24), "has views of 24x24; the prior .* knows 32x32"),
    ],
)
def test_scenes_that_no_prior_knows_are_refused(
    few: Scene, autoencoder: Autoencoder, prior_run: Path, tmp_path: Path, change: Change, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit(
            change(few), autoencoder, out=tmp_path / "run", config=SIX_AND_FOUR, prior=prior_run, device="cpu"
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_other_spaces_and_classes_are_refused(
    few: Scene, autoencoder: Autoencoder, prior_run: Path, tmp_path: Path
) -> None:
    def fitted(space: Autoencoder | None, config: FitConfig = SIX_AND_FOUR, **options: object) -> None:
        fit(few, space, out=tmp_path / "run", config=config, device="cpu", **options)  # type: ignore[arg-type]

    other = autoencoder.clone()
    next(other.encoder_parameters()).data *= 1.1
    with pytest.raises(InputError, match="is a prior of the latents of"):
        fitted(other, prior=prior_run)
    with pytest.raises(ArgumentError, match="fits in the space rgb have none, expected latent"):
        fitted(None, prior=prior_run)
    with pytest.raises(ArgumentError, match="fits in the space both have none, expected latent"):
        fitted(autoencoder, replace(SIX_AND_FOUR, space="both"), prior=prior_run)
    with pytest.raises(InputError, match="is no prior"):
        fitted(autoencoder, prior=tmp_path)
    with pytest.raises(ArgumentError, match="is given without `prior`"):
        fitted(autoencoder, few_views=FewViewsConfig())
    with pytest.raises(ArgumentError, match=r"is 'cube'; the prior .* knows ball, marble") as caught:
        fitted(autoencoder, prior=prior_run, few_views=FewViewsConfig(category="cube"))
    assert caught.value.source == "few_views.category"
    with pytest.raises(ArgumentError, match="expected at most"):
        fitted(autoencoder, prior=prior_run, few_views=FewViewsConfig(highest_at_end=0.1))
    assert not (tmp_path / "run").exists()
