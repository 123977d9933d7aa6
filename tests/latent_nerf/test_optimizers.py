"""Schedules in closed form, and what happens to an optimiser when a field replaces its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from helpers.tiny import TINY_FIT
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.fields import registry
from latentfields.fields.config import OptimizerConfig, TriPlaneConfig, VanillaConfig
from latentfields.fields.triplane import TriPlane
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.optimizers import field_optimizer, schedule_factor
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.rendering.config import HierarchicalSamplingConfig, ProposalSamplingConfig
from latentfields.scenes.scene import Scene


def factor(progress: float, **options: Any) -> float:
    return schedule_factor(replace(OptimizerConfig(), **options), progress=progress, steps=100)


def test_schedules_in_closed_form() -> None:
    assert factor(0.5, schedule="constant") == 1
    assert factor(0.0) == 1
    assert factor(0.5, final_learning_rate=0.01) == pytest.approx(0.1)
    assert factor(1.0, final_learning_rate=0.01) == pytest.approx(0.01)
    assert factor(0.0, schedule="cosine", final_learning_rate=0.2) == 1
    assert factor(0.25, schedule="cosine", final_learning_rate=0.0) == pytest.approx(
        (1 + math.cos(math.pi / 4)) / 2
    )
    assert factor(1.0, schedule="cosine", final_learning_rate=0.2) == pytest.approx(0.2)


def test_warm_up_rises_linearly_and_the_schedule_starts_after_it() -> None:
    assert [factor(p, warmup_steps=20) for p in (0.0, 0.05, 0.1)] == pytest.approx([0.0, 0.25, 0.5])
    assert factor(0.2, warmup_steps=20) == 1
    assert factor(0.6, warmup_steps=20, final_learning_rate=0.01) == pytest.approx(0.1)
    # A warm-up longer than the stage ends where the stage does.
    assert factor(1.0, warmup_steps=200) == pytest.approx(0.5)
    assert factor(1.0, warmup_steps=100, final_learning_rate=0.3) == pytest.approx(0.3)


def test_a_schedule_may_be_longer_or_shorter_than_the_stage() -> None:
    assert factor(1.0, schedule_steps=200, final_learning_rate=0.01) == pytest.approx(0.1)
    assert factor(0.5, schedule_steps=50, final_learning_rate=0.01) == pytest.approx(0.01)
    assert factor(0.9, schedule_steps=50, final_learning_rate=0.01) == pytest.approx(0.01)


def test_the_one_stage_of_rgb_space_is_as_long_as_both(scene: Scene) -> None:
    field = replace(TINY_FIT.field, optimizer=OptimizerConfig(schedule_steps=16, final_learning_rate=0.01))
    config = replace(TINY_FIT, space="rgb", field=field).with_steps(supervision=3, alignment=5)
    trainer = LatentNerfTrainer(new_model(scene, None, config), scene, config)
    trainer.step(4, 0.5)
    group = trainer.optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(group["peak"] * 0.01**0.25)


@pytest.mark.parametrize("kind", ["adam", "radam"])
def test_the_algorithm_and_its_constants_are_those_of_the_field(
    scene: Scene, autoencoder: Autoencoder, kind: str
) -> None:
    options = OptimizerConfig(kind=kind, beta2=0.9, eps=1e-7)  # type: ignore[arg-type]
    config = replace(TINY_FIT, field=replace(TINY_FIT.field, optimizer=options))
    optimizer = field_optimizer(new_model(scene, autoencoder, config), config, config.supervision)
    assert type(optimizer) is {"adam": torch.optim.Adam, "radam": torch.optim.RAdam}[kind]
    assert all(group["betas"] == (0.9, 0.9) and group["eps"] == 1e-7 for group in optimizer.param_groups)


def test_muon_moves_the_matrices_between_layers_and_adam_the_rest(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    field = VanillaConfig(layers=2, width=16, branch_width=8, learning_rate=1e-2)
    config = replace(
        TINY_FIT, field=replace(field, optimizer=OptimizerConfig(kind="muon", beta2=0.9, eps=1e-7))
    )
    stage = replace(config.supervision, learning_rate_factor=0.5)
    model = new_model(scene, autoencoder, config)
    optimizer = field_optimizer(model, config, stage)
    assert isinstance(model, LatentNerf)
    names = {id(parameter): name for name, parameter in model.field.named_parameters()}
    moved = {}
    for group in optimizer.param_groups:
        own = [names[id(parameter)] for parameter in group["params"] if id(parameter) in names]
        if "momentum" in group:
            assert (group["peak"], group["momentum"]) == (pytest.approx(8 * 5e-3), 0.95)
            moved[False] = own
        else:
            assert (group["betas"], group["eps"]) == ((0.9, 0.9), 1e-7)
            if own:
                assert group["peak"] == pytest.approx(5e-3)
                moved[True] = own
    # Of a branch of 8 units, and of outputs, there is too little to turn.
    assert moved[False] == ["trunk.0.weight", "trunk.1.weight", "bottleneck.weight"]
    assert sorted(moved[False] + moved[True]) == sorted(names.values())


@pytest.mark.parametrize(
    "sampling",
    [
        HierarchicalSamplingConfig(coarse_samples=4, fine_samples=4),
        ProposalSamplingConfig(proposal_samples=(4,), samples=4, resolutions=(4,)),
    ],
)
def test_networks_of_the_sampler_are_fitted_too(
    scene: Scene, autoencoder: Autoencoder, sampling: HierarchicalSamplingConfig | ProposalSamplingConfig
) -> None:
    config = replace(TINY_FIT, sampling=sampling)
    trainer = LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)
    before = {name: value.clone() for name, value in trainer.model.scene_state().items()}
    for index in range(2):
        trainer.step(index, index / 20)
    after = trainer.model.scene_state()
    unchanged = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert any(name.startswith("sampler.") for name in after)
    assert not unchanged


class Growing(TriPlane):
    """A Tri-Plane whose planes are replaced by finer ones half-way."""

    def advance(self, progress: float) -> bool:
        if progress < 0.5 or self.planes.shape[1] > self.config.resolution:
            return False
        finer = nn.functional.interpolate(self.planes.detach().permute(0, 3, 1, 2), scale_factor=2)
        self.planes = nn.Parameter(finer.permute(0, 2, 3, 1).contiguous())
        return True

    def resize_to(self, state: Mapping[str, Tensor]) -> None:
        self.planes = nn.Parameter(torch.zeros_like(state["planes"]))


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.FIELDS, TriPlaneConfig, Growing)


def trainer_of(scene: Scene, autoencoder: Autoencoder) -> LatentNerfTrainer:
    config = TINY_FIT.with_steps(supervision=6, alignment=4)
    return LatentNerfTrainer(new_model(scene, autoencoder, config), scene, config)


@pytest.mark.usefixtures("growing")
def test_parameters_that_stay_keep_their_moments_when_others_are_replaced(
    scene: Scene, autoencoder: Autoencoder
) -> None:
    trainer = trainer_of(scene, autoencoder)
    for index in range(3):
        trainer.step(index, index / 10)
    field: Any = trainer.model.field
    coarse = field.planes
    assert coarse.shape[1] == 16
    trainer.step(3, 0.3)
    fine = field.planes
    assert fine.shape[1] == 32
    assert coarse not in trainer.optimizer.state
    steps = {id(p): int(state["step"]) for p, state in trainer.optimizer.state.items()}
    assert steps[id(fine)] == 1
    assert set(steps.values()) == {1, 4}


@pytest.mark.slow
@pytest.mark.usefixtures("growing")
@pytest.mark.parametrize("death", [2, 3, 4, 7])
def test_a_field_that_grew_resumes_as_if_nothing_had_happened(
    scene: Scene, autoencoder: Autoencoder, death: int
) -> None:
    straight, first = trainer_of(scene, autoencoder), trainer_of(scene, autoencoder)
    for index in range(10):
        straight.step(index, index / 10)
    for index in range(death + 1):
        first.step(index, index / 10)
    resumed = trainer_of(scene, autoencoder)
    tensors, metadata = first.state()
    resumed.restore({name: value.clone() for name, value in tensors.items()}, metadata)
    for index in range(death + 1, 10):
        resumed.step(index, index / 10)
    expected, actual = straight.model.state_dict(), resumed.model.state_dict()
    assert expected["field.planes"].shape[1] == 32
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name
