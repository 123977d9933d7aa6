"""What a prior is told of the views that it judges."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from helpers.tiny import sphere_cameras
from latentfields.priors.conditions import camera_directions
from latentfields.priors.guidance import ViewsGuidance
from latentfields.priors.prior import load_prior

pytestmark = pytest.mark.slow


def test_each_view_is_told_its_nearest_references(prior_run: Path) -> None:
    prior = load_prior(prior_run)
    cameras = sphere_cameras(4)
    towards = camera_directions(cameras)
    known = torch.randn(4, *prior.shape, generator=torch.Generator().manual_seed(0))
    asked = towards[[2, 0]]
    given, against = ViewsGuidance(prior, known, towards, 2).conditions(asked)
    assert len(given.parts) == 4
    torch.testing.assert_close(given.parts.references[:2], known[[2, 0]])
    torch.testing.assert_close(given.shares.sum(dim=0), torch.ones(2))
    assert (given.shares[0] > given.shares[1]).all()
    assert not against.parts.has_reference.any()
    # One reference is the prior itself, told that one.
    single = ViewsGuidance(prior, known, towards, 1)
    one, _ = single.conditions(asked)
    noisy = torch.randn(2, *prior.shape, generator=torch.Generator().manual_seed(1))
    times = torch.tensor([10, 30])
    assert torch.equal(single.denoiser.noise(noisy, times, one), prior.noise(noisy, times, one.parts))


def test_predictions_by_several_references_are_meaned(prior_run: Path) -> None:
    prior = load_prior(prior_run)
    towards = camera_directions(sphere_cameras(3))
    known = torch.randn(3, *prior.shape, generator=torch.Generator().manual_seed(0))
    guidance = ViewsGuidance(prior, known, towards, 3, class_index=1)
    given, _ = guidance.conditions(towards)
    noisy, times = torch.randn(3, *prior.shape), torch.tensor([5, 20, 40])
    parts = [prior.noise(noisy, times, given.parts[3 * k : 3 * k + 3]) for k in range(3)]
    shares = [share[:, None, None, None] for share in given.shares]
    wanted = sum(share * part for share, part in zip(shares, parts, strict=True))
    torch.testing.assert_close(guidance.denoiser.noise(noisy, times, given), wanted)
