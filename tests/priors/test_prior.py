from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import ArgumentError, InputError
from latentfields.priors.conditions import (
    Condition,
    camera_directions,
    condition,
    direction,
    elevations,
)
from latentfields.priors.prior import LatentPrior, Rig, load_prior
from latentfields.training.checkpoint import load_tensors, save_tensors

RIG = Rig(distance=2.5, focal=1.1, lowest=-30, highest=80, extent=0.7)


@pytest.fixture
def prior(prior_run: Path) -> LatentPrior:
    return load_prior(prior_run)


@pytest.fixture
def copied(prior_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(prior_run / "prior", tmp_path / "prior")
    return tmp_path / "prior"


def given_of(prior: LatentPrior) -> Condition:
    directions = direction(elevation=20, azimuth=40).expand(2, 3)
    return condition(directions, shape=(2, *prior.shape), class_index=0)


def test_cameras_of_a_rig_look_at_the_origin_from_its_distance() -> None:
    directions = torch.stack([direction(elevation=e, azimuth=a) for e, a in ((0, 0), (30, 120), (90, 10))])
    cameras = RIG.cameras(directions, size=64)
    torch.testing.assert_close(cameras.centers, 2.5 * directions)
    torch.testing.assert_close(cameras.forward, -directions, atol=1e-5, rtol=0)
    assert cameras.focal[0, 0].item() == pytest.approx(1.1 * 64)
    assert RIG.near == pytest.approx(1.5)
    assert RIG.far == pytest.approx(3.5)


def test_directions_are_where_the_prior_has_known_cameras() -> None:
    drawn = RIG.random_directions(200, torch.Generator().manual_seed(0))
    height = elevations(drawn)
    assert float(height.min()) > -30.1
    assert float(height.max()) < 80.1
    cameras = RIG.cameras(drawn, size=16, centre=torch.tensor([0.1, 0.2, -0.3]))
    apart = cameras.centers - torch.tensor([0.1, 0.2, -0.3])
    torch.testing.assert_close(apart.norm(dim=1), torch.full((200,), RIG.distance))
    assert math.isclose(float((camera_directions(cameras) - drawn).abs().max()), 0.0, abs_tol=1e-5)


@pytest.mark.slow
def test_no_gradient_reaches_the_prior(prior: LatentPrior) -> None:
    prior.requires_grad_(True)
    noisy = torch.randn(2, *prior.shape).requires_grad_()
    noise = prior.noise(noisy, torch.tensor([10, 40]), given_of(prior))
    assert not noise.requires_grad
    assert all(parameter.grad is None for parameter in prior.parameters())


def test_conditions_change_the_noise(prior: LatentPrior) -> None:
    """Each by itself: what is told reaches the output."""
    noisy = torch.randn(2, *prior.shape, generator=torch.Generator().manual_seed(0))
    times, told = torch.tensor([25, 25]), given_of(prior)
    shape = (2, *prior.shape)
    variants = {
        "class": condition(told.directions, shape=shape, class_index=1),
        "camera": condition(direction(elevation=70, azimuth=200).expand(2, 3), shape=shape, class_index=0),
        "reference": condition(
            told.directions,
            shape=shape,
            class_index=0,
            reference=torch.ones(prior.shape),
            reference_direction=direction(elevation=0, azimuth=0),
        ),
        "nothing": told.unknown(),
    }
    base = prior.noise(noisy, times, told)
    for name, other in variants.items():
        assert not torch.equal(prior.noise(noisy, times, other), base), name


def test_a_prior_is_read_as_it_was_saved(prior: LatentPrior, tmp_path: Path) -> None:
    prior.save(tmp_path / "again")
    again = load_prior(tmp_path / "again")
    assert again.config == prior.config
    for name, tensor in prior.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name
    tensors, _ = load_tensors(tmp_path / "again" / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}


def test_another_latent_space_is_refused(prior: LatentPrior, autoencoder: Autoencoder) -> None:
    prior.check_space(autoencoder)
    other = autoencoder.clone()
    next(other.encoder_parameters()).data.mul_(1.01)
    with pytest.raises(InputError, match=r"is a prior of the latents of .*; train one with"):
        prior.check_space(other)
    shifted = autoencoder.clone()
    shifted.latent_mean += 0.1
    with pytest.raises(InputError, match="is a prior of the latents of"):
        prior.check_space(shifted)


def test_a_class_that_it_does_not_know_is_refused(prior: LatentPrior) -> None:
    assert prior.class_index("marble") == 1
    with pytest.raises(ArgumentError, match=r"category: is 'dragon'; the prior .* knows ball, marble"):
        prior.class_index("dragon")


def test_damaged_priors_are_refused(copied: Path) -> None:
    tensors, _ = load_tensors(copied / "model.safetensors")
    first = next(iter(tensors))
    save_tensors(copied / "model.safetensors", {**tensors, first: tensors[first] * torch.nan}, {})
    with pytest.raises(InputError, match="holds weights that are not finite"):
        load_prior(copied)
    save_tensors(copied / "model.safetensors", {name: t for name, t in tensors.items() if name != first}, {})
    with pytest.raises(InputError, match=r"does not fit config.json \(.*Missing key"):
        load_prior(copied)
    save_tensors(copied / "model.safetensors", tensors, {})
    about = json.loads((copied / "config.json").read_text())
    for field, value, problem in (
        ("channels", 9, "does not fit config.json"),
        ("side", 0, "field 'side' is 0; expected at least 1"),
        ("network", {"widths": [16, 20]}, "field 'network.widths' are"),
        ("rig", None, "field 'rig'"),
    ):
        (copied / "config.json").write_text(json.dumps({**about, field: value}))
        with pytest.raises(InputError, match=problem):
            load_prior(copied)


def test_what_is_no_prior_is_refused(autoencoder_folder: Path, tmp_path: Path) -> None:
    for folder in (autoencoder_folder, tmp_path):
        with pytest.raises(
            InputError, match=r"is no prior; packaged: .* or give a folder that `prior train` wrote"
        ):
            load_prior(folder)
