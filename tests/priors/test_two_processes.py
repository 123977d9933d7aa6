"""Two processes under torchrun train the prior that one process trains of the same global batches."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.distributed_child import prior
from helpers.processes import run_two_processes
from latentfields.files import read_json
from latentfields.priors.conditions import condition, direction
from latentfields.priors.prior import LatentPrior, load_prior
from latentfields.training.loop import read_log

pytestmark = pytest.mark.slow


@torch.no_grad()
def predicted(prior: LatentPrior) -> Tensor:
    """What a prior says of noise, told everything."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(4, *prior.shape, generator=generator)
    given = condition(
        direction(elevation=20, azimuth=30).expand(4, 3),
        shape=noise.shape,
        class_index=1,
        reference=noise[0],
        reference_direction=direction(elevation=0, azimuth=0),
    )
    found: Tensor = prior.network(noise, torch.tensor([3, 17, 31, 49]), given)
    return found


def test_two_processes_are_one(classes: Path, autoencoder_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(classes, tmp_path / "classes")
    shutil.copytree(autoencoder_folder, tmp_path / "autoencoder")
    runs = tmp_path / "one", tmp_path / "two"
    prior(tmp_path, runs[0])
    run_two_processes("prior", tmp_path, runs[1])
    # Not weights one by one: Adam moves those without a gradient, biases before a norm, by what rounding leaves.
    predictions = [predicted(load_prior(run)) for run in runs]
    torch.testing.assert_close(*predictions, atol=1e-3, rtol=1e-3)
    assert predictions[0].std() > 0.1
    logs = [read_log(run) for run in runs]
    assert len(logs[0]) == len(logs[1]) == 6
    for ours, theirs in zip(*logs, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-4)
    assert read_json(runs[1] / "metrics.json")["training_seconds"] > 0
