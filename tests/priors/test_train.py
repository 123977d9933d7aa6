from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.priors import TINY_PRIOR
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.files import read_json
from latentfields.priors import draw
from latentfields.priors.conditions import UNKNOWN, condition, direction
from latentfields.priors.config import PriorRunConfig, PriorTrainingConfig
from latentfields.priors.data import PriorData, load_data
from latentfields.priors.draw import draw_class
from latentfields.priors.prior import load_prior
from latentfields.priors.train import PriorTrainer, new_prior, train_prior, withheld
from latentfields.training.loop import Interrupted, read_log


def test_a_run_holds_prior_page_and_metrics(prior_run: Path) -> None:
    prior = load_prior(prior_run)
    assert prior.config.classes == ("ball", "marble")
    assert prior.shape == (8, 8, 8)
    metrics = read_json(prior_run / "metrics.json")
    assert metrics["steps"] == TINY_PRIOR.steps
    assert metrics["parameters"] == sum(parameter.numel() for parameter in prior.parameters())
    page = (prior_run / "report.html").read_text()
    for text in ("ball", "marble", "<span>retrain</span>", "a turn around sample 0", "finished"):
        assert text in page


@pytest.mark.slow
def test_killed_and_resumed_equals_uninterrupted(
    classes: Path, autoencoder_folder: Path, prior_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = PriorTrainer.step

    def interrupted(self: PriorTrainer, index: int, progress: float) -> dict[str, float]:
        if index == 3:
            signal.raise_signal(signal.SIGTERM)
        return step(self, index, progress)

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(PriorTrainer, "step", interrupted)
        with pytest.raises(Interrupted):
            train_prior(classes, autoencoder=autoencoder_folder, out=out, training=TINY_PRIOR)
    assert not (out / "prior").exists()
    train_prior(classes, autoencoder=autoencoder_folder, out=out, training=TINY_PRIOR)
    name = "prior/model.safetensors"
    assert (out / name).read_bytes() == (prior_run / name).read_bytes()


def test_what_is_withheld_is_as_often_as_configured() -> None:
    count = 20_000
    given = condition(
        direction(elevation=0, azimuth=0).expand(count, 3),
        shape=(count, 1, 1, 1),
        class_index=2,
        reference=torch.ones(1, 1, 1),
        reference_direction=direction(elevation=0, azimuth=0),
    )
    config = PriorTrainingConfig(drop_class=0.2, drop_camera=0.1, drop_reference=0.4, drop_all=0.5)
    left = withheld(given, config, torch.Generator().manual_seed(0))
    shares = [
        (left.classes == UNKNOWN).float().mean(),
        (~left.has_direction).float().mean(),
        (~left.has_reference).float().mean(),
    ]
    expected = [1 - 0.5 * 0.8, 1 - 0.5 * 0.9, 1 - 0.5 * 0.6]
    torch.testing.assert_close(torch.stack(shares), torch.tensor(expected), atol=0.02, rtol=0)


@pytest.mark.slow
def test_training_learns(
    classes: Path, autoencoder: Autoencoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less than half of the loss is left, and what is drawn looks like views of the sphere and not like noise."""
    training = replace(
        TINY_PRIOR, steps=200, batch=16, learning_rate=3e-3, warmup_steps=10, average_decay=0.95
    )
    run = PriorRunConfig(scenes=(classes,), autoencoder="linear", seconds=None, training=training)
    data = load_data([classes], autoencoder, training, cache=tmp_path / "views.safetensors")
    prior, averaged = (new_prior(run, data, "space") for _ in range(2))
    trainer = PriorTrainer(prior, averaged, data, training)
    before = trainer.held_out_loss()
    for index in range(training.steps):
        trainer.step(index, index / training.steps)
    assert trainer.held_out_loss() < 0.5 * before
    monkeypatch.setattr(draw, "STEPS", 20)  # As nobody but tests has it otherwise.
    drawn = draw_class(trainer.average.refresh(), 0, count=2, seed=0)
    noise = torch.randn(drawn.shape, generator=torch.Generator().manual_seed(0))
    assert (to_nearest(drawn, data) < 0.5 * to_nearest(noise, data)).all()


def to_nearest(latents: Tensor, data: PriorData) -> Tensor:
    """Mean squared distance (B,) of latents (B, C, h, w) from the nearest training view."""
    apart = latents[:, None] - data.train.latents.float()[None]
    return apart.square().mean(dim=(2, 3, 4)).amin(dim=1)


@pytest.mark.slow
def test_seeds_tell_runs_apart(
    prior_run: Path, classes: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    other = replace(TINY_PRIOR, seed=1)
    train_prior(classes, autoencoder=autoencoder_folder, out=tmp_path / "run", training=other)
    name = "prior/model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() != (prior_run / name).read_bytes()
    with pytest.raises(
        InputError, match=r"holds a run with other settings \(training.seed: 1 there, 0 now\)"
    ):
        train_prior(classes, autoencoder=autoencoder_folder, out=tmp_path / "run", training=TINY_PRIOR)


@pytest.mark.slow
def test_time_can_be_limited(classes: Path, autoencoder_folder: Path, tmp_path: Path) -> None:
    long = replace(TINY_PRIOR, steps=100_000)
    train_prior(classes, autoencoder=autoencoder_folder, out=tmp_path / "run", training=long, seconds=0.5)
    assert 1 <= read_log(tmp_path / "run")[-1]["step"] < 1000


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"size": 30}, "size: is 30; expected a multiple of the factor 4"),
        ({"size": 36}, "size: gives 9 latents on a side; expected a multiple of 2"),
        ({"drop_class": 1.5}, "drop_class: is 1.5; expected 0 to 1"),
    ],
)
def test_bad_settings_leave_nothing_behind(
    classes: Path, autoencoder_folder: Path, tmp_path: Path, changes: dict[str, object], problem: str
) -> None:
    training = replace(TINY_PRIOR, **changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=problem):
        train_prior(classes, autoencoder=autoencoder_folder, out=tmp_path / "run", training=training)
    assert not (tmp_path / "run").exists()


def test_folders_without_scenes_are_refused(autoencoder_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        train_prior(
            tmp_path / "empty", autoencoder=autoencoder_folder, out=tmp_path / "run", training=TINY_PRIOR
        )
    assert not (tmp_path / "run").exists()
