from dataclasses import replace
from pathlib import Path

import pytest

from latentfields.errors import InputError
from latentfields.igae.config import SMALL, TINY
from latentfields.igae.settings import configuration, with_epochs

SOURCE = Path("mine.json")


def test_changes_go_to_their_places() -> None:
    changes = {"joint": {"weights": {"latent": 0.5}, "latent_unit": "reference"}, "size": 64}
    config = configuration("small", changes, source=SOURCE)
    joint = replace(SMALL.joint, latent_unit="reference", weights=replace(SMALL.joint.weights, latent=0.5))
    assert config == replace(SMALL, size=64, joint=joint)
    assert configuration("tiny", {}, source=SOURCE) == TINY


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"joint": {"weight": {}}}, "joint.weight"),
        ({"joint": {"weights": {"latent": "much"}}}, "joint.weights.latent"),
        ({"joint": 3}, "joint"),
        ({"ablation": "no-4d"}, "ablation"),
        ([1], "JSON object"),
    ],
)
def test_what_does_not_fit_is_named(changes: object, problem: str) -> None:
    with pytest.raises(InputError, match=f"mine.json.*{problem}"):
        configuration("small", changes, source=SOURCE)


def test_unknown_presets_are_refused() -> None:
    with pytest.raises(InputError, match="tiny, small, paper"):
        configuration("huge", {}, source=SOURCE)


def test_epochs() -> None:
    assert with_epochs(SMALL, pretraining=None, joint=None) == SMALL
    config = with_epochs(SMALL, pretraining=2.0, joint=3.0)
    assert (config.pretraining.epochs, config.joint.epochs) == (2.0, 3.0)
    for epochs in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="--joint-epochs"):
            with_epochs(SMALL, pretraining=None, joint=epochs)
