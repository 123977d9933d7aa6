"""What each term of the loss moves, and what stands still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.autoencoders import small_autoencoder
from helpers.collections_data import COLLECTION, LATENT
from latentfields.fused_planes.collection import new_shared
from latentfields.fused_planes.config import PhaseConfig
from latentfields.fused_planes.store import ObjectStore
from latentfields.fused_planes.trainer import PhaseTrainer, Training
from latentfields.igae.image_cache import cache_scenes
from latentfields.igae.pretrain import cache_latents, open_latents
from latentfields.scenes.reading import WHITE

EVERYTHING = replace(
    LATENT,
    rgb_weight=1.0,
    autoencoder_weight=1.0,
    encoder_learning_rate=1e-3,
    decoder_learning_rate=1e-3,
)


@contextmanager
def trainer(data: Path, folder: Path, phase: PhaseConfig) -> Iterator[PhaseTrainer]:
    views = cache_scenes(
        [data / "scenes"], size=32, background=WHITE, grid_resolution=8, cache=folder / "cache"
    )
    autoencoder = small_autoencoder()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shared = new_shared(COLLECTION, autoencoder.background_latent(WHITE).detach(), latent=True)
    store = ObjectStore(folder / "objects.f32", views.hulls, COLLECTION.planes, seed=0)
    cache_latents(autoencoder, views, folder / "latents.f16")
    latents = open_latents(autoencoder, views, folder / "latents.f16")
    yield PhaseTrainer(
        Training(COLLECTION, views, shared, store, autoencoder), phase, number=1, latents=latents
    )
    store.close()


def snapshot(running: PhaseTrainer) -> dict[str, Tensor]:
    """All that may move, for the objects of the first batch."""
    training = running.training
    assert training.autoencoder is not None
    (item,) = training.store.fetch([running.schedule.plan(0).scenes[0]])
    parts = {
        "micro": item.micro,
        "weights": item.weights,
        "base": training.shared.base,
        "mlp": torch.cat([p.flatten() for p in training.shared.renderer_parameters()]),
        "encoder": torch.cat([p.flatten() for p in training.autoencoder.encoder_parameters()]),
        "decoder": torch.cat([p.flatten() for p in training.autoencoder.decoder_parameters()]),
    }
    return {name: part.detach().clone() for name, part in parts.items()}


def moved(data: Path, folder: Path, phase: PhaseConfig) -> set[str]:
    with trainer(data, folder, phase) as running:
        before = snapshot(running)
        running.step(0, 0.0)
        after = snapshot(running)
    return {name for name in before if not torch.equal(before[name], after[name])}


OBJECTS, SHARED = {"micro", "weights"}, {"base", "mlp"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (LATENT, OBJECTS | SHARED),
        (LATENT.with_frozen_parts(), OBJECTS),
        (replace(LATENT, micro_learning_rate=0.0), {"weights"} | SHARED),
        (replace(LATENT, latent_weight=0.0, tv_weight=0.0, rgb_weight=1.0), OBJECTS | SHARED),
        (EVERYTHING, OBJECTS | SHARED | {"encoder", "decoder"}),
        (EVERYTHING.with_frozen_parts(), OBJECTS),
        (replace(EVERYTHING, latent_weight=0.0, autoencoder_weight=0.0), OBJECTS | SHARED | {"decoder"}),
        (
            replace(EVERYTHING, latent_weight=0.0, rgb_weight=0.0, tv_weight=0.0),
            {"encoder", "decoder"},
        ),
    ],
    ids=[
        "latents",
        "frozen",
        "weights alone",
        "images",
        "all",
        "all, frozen",
        "decoder",
        "autoencoder alone",
    ],
)
def test_terms_move_what_they_are_about(
    data: Path, tmp_path: Path, phase: PhaseConfig, expected: set[str]
) -> None:
    assert moved(data, tmp_path, phase) == expected


def test_the_mlp_stops_where_that_is_asked_for(data: Path, tmp_path: Path) -> None:
    with trainer(data, tmp_path, replace(LATENT, mlp_share=0.5)) as running:
        running.step(0, 0.0)
        before = snapshot(running)["mlp"]
        running.step(1, 0.6)
        assert torch.equal(snapshot(running)["mlp"], before)


def test_the_gradient_of_a_weight_is_that_of_finite_differences(data: Path, tmp_path: Path) -> None:
    """Through the sum, the field and the volume rendering."""
    with trainer(data, tmp_path, replace(LATENT, tv_weight=0.0)) as running:
        training, plan = running.training, running.schedule.plan(0)
        for _ in range(2):  # So that density grids do not change between the looks.
            running.step(0, 0.0)
        objects = training.store.fetch(plan.scenes)

        def loss() -> Tensor:
            planes = training.planes(objects)
            seen = [
                item.sampler.render(
                    training.field(part),
                    training.shot(item, training.views.cameras[views[:1]].resized(width=8, height=8), None),
                ).features
                for item, part, views in zip(objects, planes, plan.views, strict=True)
            ]
            return torch.cat(seen).square().mean()

        loss().backward()
        found = objects[0].coefficients.grad
        assert found is not None
        step = 1e-2
        for index in range(len(found)):
            with torch.no_grad():
                values = []
                for sign in (1, -1):
                    objects[0].coefficients[index] += sign * step
                    values.append(float(loss()))
                    objects[0].coefficients[index] -= sign * step
            assert float(found[index]) == pytest.approx(
                (values[0] - values[1]) / (2 * step), rel=0.05, abs=1e-4
            )
