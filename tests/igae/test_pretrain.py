"""The first phase: what its batches hold, what it minimises and how its rates decay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.igae_data import CONFIG, SIZE
from latentfields.autoencoders.load import load_autoencoder
from latentfields.igae.config import IgaeConfig
from latentfields.igae.image_cache import cache_scenes
from latentfields.igae.pretrain import ScenePretrainer, cache_latents, open_latents
from latentfields.igae.scene_training import WHITE, SceneTraining, planes_total_variation
from latentfields.igae.scenes import ActiveScene, LatentScenes
from latentfields.rendering.rendering import Shot
from latentfields.training.distributed import Processes

CPU = torch.device("cpu")
OPTIONS = replace(
    CONFIG.pretraining, planes_learning_rate=2e-3, mlp_learning_rate=1e-3, final_learning_rate=0.988**50
)


class Pretrainers:
    """Makes trainers of the first phase, on cached views."""

    def __init__(self, data: Path, cache: Path) -> None:
        self.data, self.cache = data, cache
        self.made: list[ScenePretrainer] = []

    def __call__(self, config: IgaeConfig) -> ScenePretrainer:
        views = cache_scenes(
            [self.data / "scenes"], size=SIZE, background=WHITE, grid_resolution=8, cache=self.cache
        )
        autoencoder = load_autoencoder(self.data / "base")
        cache_latents(autoencoder, views, self.cache / "latents")
        training = SceneTraining(config, views, autoencoder, device=CPU)
        latents = open_latents(autoencoder, views, self.cache / "latents")
        self.made.append(ScenePretrainer(training, latents, config, processes=Processes(), observer=None))
        return self.made[-1]


@pytest.fixture
def trainers(data: Path, prepared: Path) -> Iterator[Pretrainers]:
    make = Pretrainers(data, prepared)
    yield make
    for trainer in make.made:
        trainer.batches.close()


def test_learning_rates_decay_exponentially_to_the_end(
    trainers: Pretrainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainers(replace(CONFIG, pretraining=OPTIONS))
    of_planes: list[float] = []
    update = LatentScenes.update

    def watched(self: LatentScenes, scenes: Sequence[ActiveScene], *, learning_rate: float) -> None:
        of_planes.append(learning_rate)
        update(self, scenes, learning_rate=learning_rate)

    monkeypatch.setattr(LatentScenes, "update", watched)
    for index, epoch in enumerate((0, 20, 50)):
        trainer.step(index, epoch / 50)
        (mlp,) = (group["lr"] for group in trainer.training.optimizer.param_groups)
        assert (of_planes[-1], mlp) == pytest.approx((2e-3 * 0.988**epoch, 1e-3 * 0.988**epoch))


def test_targets_are_the_latents_of_the_plan_s_views(trainers: Pretrainers) -> None:
    trainer = trainers(CONFIG)
    autoencoder = load_autoencoder(trainers.data / "base")
    seen = set()
    for step in range(40):
        (whole, mine, latents), _ = trainer.batches.get(step)
        assert mine.scenes == whole.scenes
        views = torch.cat(whole.views)
        seen.update(views.tolist())
        if step < 2:
            images = trainer.training.views.images(views)
            torch.testing.assert_close(latents, autoencoder.encode(images), atol=5e-3, rtol=1e-3)
    assert seen == {view for scene in trainer.training.views.train for view in scene.tolist()}


def test_a_latent_is_the_mean_of_its_rays(trainers: Pretrainers) -> None:
    plain = trainers(CONFIG).training
    finer = trainers(replace(CONFIG, scenes=replace(CONFIG.scenes, pixel_samples=2))).training
    views = plain.views.train[0][:2]
    cameras, (scene,) = plain.cameras[views], plain.scenes.fetch([0])
    near, far = plain.views.near[0], plain.views.far[0]

    def through(x: float, y: float) -> torch.Tensor:
        rays = cameras.rays(offsets=torch.tensor([x, y])).flatten()
        with torch.no_grad():
            return (
                plain.renderer.render(scene, Shot(rays, plain.background, near, far))
                .as_images(cameras)
                .features
            )

    four = torch.stack([through(x, y) for x in (0.25, 0.75) for y in (0.25, 0.75)])
    torch.testing.assert_close(finer.render_views(0, views), four.mean(dim=0))
    torch.testing.assert_close(plain.render_views(0, views), through(0.5, 0.5))
    assert four.std(dim=0).max() > 0


def test_the_loss_is_the_latents_distance_and_the_weighted_total_variation(trainers: Pretrainers) -> None:
    """Both move the planes; the gradient of the second is what its weight adds."""

    def first_moments(tv_weight: float) -> torch.Tensor:
        trainer = trainers(replace(CONFIG, pretraining=replace(OPTIONS, tv_weight=tv_weight)))
        trainer.step(0, 0.0)
        # After one step from zero the first moment is a tenth of the gradient.
        return 10 * trainer.training.scenes.first_moment

    plain, weighted = first_moments(0.0), first_moments(2.0)
    trainer = trainers(CONFIG)
    plan = trainer.schedule.plan(0)
    active = trainer.training.scenes.fetch(plan.scenes)
    gradients = torch.autograd.grad(planes_total_variation(active), [scene.planes for scene in active])
    for scene, gradient in zip(active, gradients, strict=True):
        assert plain[scene.index].any()
        torch.testing.assert_close(
            weighted[scene.index] - plain[scene.index], 2 * gradient, rtol=1e-3, atol=1e-6
        )
