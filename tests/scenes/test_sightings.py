"""Which points cameras see: those in the picture and in front, and not those behind a surface of other points."""

from __future__ import annotations

import torch
from torch import Tensor

from helpers.tiny import sphere_cameras
from latentfields.scenes.sightings import sightings

CAMERAS = sphere_cameras(6)


def sphere(radius: float, count: int = 4000) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return radius * torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)


def test_positions_and_distances_are_those_of_the_camera() -> None:
    points = sphere(0.5, 50)
    seen = sightings(CAMERAS, points, near=0.1)
    assert set(seen.views.tolist()) == set(range(6))
    rays = CAMERAS[seen.views].rays_at(seen.positions)
    at = rays.origins + rays.directions * seen.distances[:, None]
    nearest = (at[:, None] - points).norm(dim=-1).amin(dim=1)
    assert nearest.max() < 1e-4


def test_the_far_side_of_a_surface_is_hidden() -> None:
    seen = sightings(CAMERAS, sphere(0.9), near=0.1)
    assert len(seen.views) > 4000
    # Cameras are 3 away: the horizon of the ball is at sqrt(9 - 0.81), its far side at 3.9.
    assert seen.distances.max() < 3.3
    assert seen.distances.min() > 2.0


def test_what_is_near_or_beside_the_picture_is_not_seen() -> None:
    points = sphere(0.5, 50)
    assert len(sightings(CAMERAS, points, near=5.0).views) == 0
    behind = CAMERAS.centers[:1] * 3
    assert 0 not in sightings(CAMERAS[:1], behind, near=0.1).views.tolist()
