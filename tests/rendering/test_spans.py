"""Spans of rays: where intervals lie in a field's cube, how long they are there, and that media integrate alike."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.contraction import contract, field_positions
from latentfields.rendering.rendering import Shot
from latentfields.rendering.spans import ENDLESS, BoxSpan, ContractedSpan

NEAR, FAR = 0.05, 1000.0


def rays(count: int = 64, *, spread: float = 2.0, seed: int = 0) -> Rays:
    generator = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    return Rays(spread * torch.randn(count, 3, generator=generator), directions)


def even(count: int, rows: int) -> Tensor:
    return torch.linspace(0, 1, count + 1).expand(rows, -1)


def test_a_shot_has_the_span_that_its_field_needs() -> None:
    shot = Shot(rays(), torch.zeros(3), near=NEAR, far=FAR)
    assert isinstance(shot.span(), BoxSpan)
    contracted = Shot(rays(), torch.zeros(3), near=NEAR, far=FAR, contracted=True)
    assert isinstance(contracted.span(), ContractedSpan)
    assert contracted[:3].contracted


def test_straight_spans_divide_what_lies_in_the_box() -> None:
    given = rays(spread=0.4)
    span = BoxSpan.of(given, near=NEAR, far=FAR)
    intervals = span.intervals(even(10, len(given)))
    torch.testing.assert_close(intervals.lengths.sum(dim=1), span.end - span.start)
    expected = given.origins[:, None] + given.directions[:, None] * intervals.distances[..., None]
    torch.testing.assert_close(intervals.positions, expected)
    meets = span.end > span.start
    assert meets.any()
    assert intervals.positions[meets].abs().max() <= 1
    positions, lengths = span.bins(10)
    torch.testing.assert_close(positions, intervals.positions, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(lengths, intervals.lengths, atol=1e-5, rtol=1e-5)


def test_contracted_spans_go_from_near_to_far() -> None:
    given = rays()
    span = ContractedSpan(given, near=NEAR, far=FAR)
    distances = span.distances(even(200, len(given)))
    torch.testing.assert_close(distances[:, 0], torch.full((len(given),), NEAR), atol=1e-4, rtol=0)
    torch.testing.assert_close(distances[:, -1], torch.full((len(given),), FAR), atol=0, rtol=0.02)
    assert (distances.diff(dim=1) > 0).all()
    assert torch.equal(span.end, torch.full((len(given),), FAR))


def test_positions_and_lengths_are_those_of_the_contracted_ray() -> None:
    given = rays()
    span = ContractedSpan(given, near=NEAR, far=FAR)
    intervals = span.intervals(even(400, len(given)))
    on_the_ray = given.origins[:, None] + given.directions[:, None] * intervals.distances[..., None]
    torch.testing.assert_close(intervals.positions, field_positions(on_the_ray), atol=4e-3, rtol=0)
    # A dense polygon has the curve's length; so do far fewer chords, nearly.
    positions, lengths = span.bins(400)
    dense = span.bins(2_000)[1].sum(dim=1)
    torch.testing.assert_close(lengths.sum(dim=1), dense, atol=0, rtol=3e-3)
    torch.testing.assert_close(positions, intervals.positions)
    torch.testing.assert_close(lengths[:, :-1], intervals.lengths[:, :-1])
    assert (intervals.lengths[:, -1] == ENDLESS).all(), "what lies there is opaque"


def test_samples_are_even_near_the_middle_and_in_inverse_depth_far_away() -> None:
    ray = Rays(torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 1.0]]))
    distances = ContractedSpan(ray, near=0.0, far=FAR).distances(even(100, 1))[0]
    inside = distances[distances < 0.95]
    torch.testing.assert_close(inside.diff(), inside.diff()[:1].expand(len(inside) - 1), atol=1e-5, rtol=0)
    inverse = 1 / distances[distances > 1.05]
    torch.testing.assert_close(inverse.diff(), inverse.diff()[:1].expand(len(inverse) - 1), atol=2e-5, rtol=0)


@pytest.mark.parametrize("outside", [1.5, 3.0, 8.0])
def test_half_of_a_central_ray_s_samples_see_the_box_wherever_the_camera_stands(outside: float) -> None:
    ray = Rays(torch.tensor([[0.0, 0.0, outside]]), torch.tensor([[0.0, 0.0, -1.0]]))
    span = ContractedSpan(ray, near=NEAR, far=FAR)
    inside = span.intervals(even(200, 1)).positions.abs().amax(dim=-1) < 0.5
    assert 0.48 < float(inside.float().mean()) < 0.65
    contracted = contract(ray.origins + ray.directions * span.distances(even(200, 1))[0][:, None])
    assert contracted.abs().max() < 2
