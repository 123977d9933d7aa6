"""The contraction of space: closed form, inverse, gradient, and that nothing is torn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.rendering.contraction import (
    contract,
    contract_distance,
    field_positions,
    uncontract,
    uncontract_distance,
    world_positions,
)


def points(count: int = 500, *, spread: float = 5.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(count, 3, generator=generator, dtype=torch.float64)


def test_points_of_the_box_stay_and_far_ones_approach_two() -> None:
    inside = 2 * torch.rand(100, 3) - 1
    assert torch.equal(contract(inside), inside)
    # Written out by hand: |x| = 4, so 2 - 1/4, along the same direction.
    torch.testing.assert_close(
        contract(torch.tensor([[4.0, -2.0, 1.0]])), torch.tensor([[1.75, -0.875, 0.4375]])
    )
    torch.testing.assert_close(contract(torch.tensor([[0.0, -2.0, 0.0]])), torch.tensor([[0.0, -1.5, 0.0]]))
    far = contract(1e6 * torch.nn.functional.normalize(points(), dim=-1))
    assert far.abs().amax(dim=-1).min() > 2 - 1e-5
    assert far.abs().max() < 2


def test_it_keeps_directions_and_is_continuous_at_the_box() -> None:
    given_points = points()
    cosine = torch.nn.functional.cosine_similarity(given_points, contract(given_points))
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
    on_the_box = given_points / given_points.abs().amax(dim=-1, keepdim=True)
    torch.testing.assert_close(contract(on_the_box * (1 + 1e-9)), on_the_box, atol=1e-8, rtol=0)


@settings(deadline=None, max_examples=30)
@given(spread=st.floats(0.1, 1e3), seed=st.integers(0, 2**31 - 1))
def test_the_inverse_undoes_it(spread: float, seed: int) -> None:
    original = points(spread=spread, seed=seed)
    torch.testing.assert_close(uncontract(contract(original)), original, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(world_positions(field_positions(original)), original, rtol=1e-6, atol=1e-9)
    numbers = original[:, 0]
    torch.testing.assert_close(uncontract_distance(contract_distance(numbers)), numbers, rtol=1e-6, atol=1e-9)


def test_gradients_are_those_of_finite_differences() -> None:
    given_points = points(40, spread=2.0).requires_grad_()
    assert torch.autograd.gradcheck(contract, (given_points,), eps=1e-7, atol=1e-5)
    inside = (1.9 * (2 * torch.rand(40, 3, dtype=torch.float64) - 1)).requires_grad_()
    assert torch.autograd.gradcheck(uncontract, (inside,), eps=1e-8, atol=1e-4)


@pytest.mark.parametrize("distance", [2.0, 5.0, 50.0])
def test_along_an_axis_distance_becomes_inverse_distance(distance: float) -> None:
    x = torch.tensor([[distance, 0.0, 0.0]], dtype=torch.float64, requires_grad=True)
    contract(x)[0, 0].backward()
    assert x.grad is not None
    assert float(x.grad[0, 0]) == pytest.approx(distance**-2)


def test_field_positions_fill_the_cube() -> None:
    assert field_positions(points(spread=1e3)).abs().max() < 1
    torch.testing.assert_close(
        field_positions(torch.tensor([[1.0, 0.5, 0.0]])), torch.tensor([[0.5, 0.25, 0.0]])
    )
