from __future__ import annotations

import pytest

from latentfields.errors import ArgumentError
from latentfields.priors.config import PRESETS, PriorNetworkConfig
from latentfields.priors.network import PriorNetwork


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_possible(name: str) -> None:
    training = PRESETS[name]  # type: ignore[index]
    training.check()
    training.network.check_side(training.size // 8)


def test_the_presets_for_a_cpu_are_small() -> None:
    for name in ("tiny", "small"):
        network = PriorNetwork(PRESETS[name].network, channels=16, side=16, classes=14)
        assert sum(parameter.numel() for parameter in network.parameters()) < 3e6


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            PriorNetworkConfig(widths=(12, 64)),
            "network.widths: are .*; expected at least one, and multiples of 8",
        ),
        (PriorNetworkConfig(widths=()), "network.widths"),
        (PriorNetworkConfig(widths=(40, 48), head_width=32), "network.head_width: is 32; expected a divisor"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(config: PriorNetworkConfig, problem: str) -> None:
    with pytest.raises(ArgumentError, match=problem):
        config.check("network")


def test_views_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ArgumentError, match="size: gives 15 latents on a side; expected a multiple of 2"):
        PriorNetworkConfig().check_side(15)
