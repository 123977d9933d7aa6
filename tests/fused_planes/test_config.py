"""Schedules and presets of collections."""

from __future__ import annotations

from dataclasses import replace

import pytest

from latentfields.errors import ArgumentError
from latentfields.fused_planes.config import PAPER, PRESETS, SMALL, CollectionConfig, PhaseConfig


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_used(name: str) -> None:
    PRESETS[name].check()  # type: ignore[index]


def test_the_papers_sizes() -> None:
    """K = 64, F = 10 + 22, M = 50: an object saves the size of one base plane, and weighs as much as the paper says."""
    planes = PAPER.planes
    assert (planes.resolution, planes.micro_features, planes.macro_features, planes.base_planes) == (
        64,
        10,
        22,
        50,
    )
    assert planes.features == 32
    assert 4 * 3 * planes.resolution**2 * planes.micro_features == 491_520
    assert 4 * 3 * planes.resolution**2 * planes.macro_features * planes.base_planes == 54_067_200


def test_rates_of_the_papers_phases() -> None:
    assert PAPER.warmup.decay(0.99) == 1.0
    assert [PAPER.joint.decay(progress) for progress in (0.39, 0.41, 0.81)] == pytest.approx([1.0, 0.3, 0.09])
    assert PAPER.latent.decay(1.0) == pytest.approx(0.94157**30)
    assert PAPER.align.decay(0.5) == pytest.approx(0.94157**25)
    assert PAPER.warmup.mlp_share == pytest.approx(45 / 50)
    assert PAPER.joint.moves_autoencoder
    assert not PAPER.warmup.moves_autoencoder


def test_rates_fall_exponentially() -> None:
    phase = PhaseConfig(epochs=1.0, final_learning_rate=0.01)
    assert [phase.decay(progress) for progress in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 0.1, 0.01])


def test_frozen_phases_move_objects_alone() -> None:
    frozen = PAPER.align.with_frozen_parts()
    assert not frozen.moves_autoencoder
    assert (frozen.base_learning_rate, frozen.mlp_learning_rate) == (0.0, 0.0)
    assert frozen.micro_learning_rate == PAPER.align.micro_learning_rate


def test_the_fused_field_is_a_tri_plane_of_all_features() -> None:
    assert SMALL.planes.triplane.features == SMALL.planes.micro_features + SMALL.planes.macro_features
    assert SMALL.planes.grid.samples == SMALL.planes.sampling.samples


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            replace(SMALL, latent=replace(SMALL.latent, epochs=0.0), align=replace(SMALL.align, epochs=0.0)),
            "latent.epochs: is 0",
        ),
        (replace(SMALL, warmup=replace(SMALL.warmup, drops=(2.0,))), "warmup.drops: is 2.0; expected 0 to 1"),
        (replace(SMALL, size=8), "size: is 8; expected at least 16"),
    ],
)
def test_values_out_of_range_are_named(config: CollectionConfig, problem: str) -> None:
    with pytest.raises(ArgumentError, match=problem):
        config.check()
