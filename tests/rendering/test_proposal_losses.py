"""The losses of proposal sampling against their definitions, written as double loops."""

from __future__ import annotations

from itertools import pairwise

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.rendering.proposal_losses import distortion_loss, interlevel_loss


def random_histogram(generator: torch.Generator, rays: int, bins: int) -> tuple[Tensor, Tensor]:
    """Edges (R, S + 1) from 0 to 1 and weights (R, S) that sum to at most one, float64."""
    inner = torch.rand(rays, bins - 1, generator=generator, dtype=torch.float64).sort(dim=1).values
    edges = torch.cat([torch.zeros(rays, 1), inner, torch.ones(rays, 1)], dim=1).double()
    weights = torch.rand(rays, bins + 1, generator=generator, dtype=torch.float64)
    return edges, (weights / weights.sum(dim=1, keepdim=True))[:, :-1]


def slow_interlevel(
    edges: list[float], weights: list[float], proposed_edges: list[float], w: list[float]
) -> float:
    loss = 0.0
    for i, weight in enumerate(weights):
        bound = 0.0
        for j, proposed in enumerate(w):
            if proposed_edges[j] < edges[i + 1] and edges[i] < proposed_edges[j + 1]:
                bound += proposed
        loss += max(0.0, weight - bound) ** 2 / (weight + 1e-7)
    return loss


def slow_distortion(edges: list[float], weights: list[float]) -> float:
    middle = [(low + high) / 2 for low, high in pairwise(edges)]
    loss = 0.0
    for i, first in enumerate(weights):
        for j, second in enumerate(weights):
            loss += first * second * abs(middle[i] - middle[j])
        loss += first * first * (edges[i + 1] - edges[i]) / 3
    return loss


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), bins=st.integers(1, 9), proposed_bins=st.integers(1, 9), same=st.booleans())
def test_interlevel_is_its_definition(seed: int, bins: int, proposed_bins: int, same: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    edges, weights = random_histogram(generator, 3, bins)
    proposed_edges, proposed = random_histogram(generator, 3, proposed_bins)
    if same:  # Edges that coincide do not overlap.
        proposed_edges, proposed = edges, proposed[:, :1].expand(-1, bins) * 0.3
    loss = interlevel_loss(edges, weights, proposed_edges, proposed)
    for ray in range(3):
        expected = slow_interlevel(
            edges[ray].tolist(), weights[ray].tolist(), proposed_edges[ray].tolist(), proposed[ray].tolist()
        )
        torch.testing.assert_close(loss[ray], torch.tensor(expected, dtype=torch.float64))


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), bins=st.integers(1, 12))
def test_distortion_is_its_definition(seed: int, bins: int) -> None:
    edges, weights = random_histogram(torch.Generator().manual_seed(seed), 3, bins)
    loss = distortion_loss(edges, weights)
    for ray in range(3):
        expected = slow_distortion(edges[ray].tolist(), weights[ray].tolist())
        torch.testing.assert_close(loss[ray], torch.tensor(expected, dtype=torch.float64))


def test_gradients_match_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    edges, weights = random_histogram(generator, 2, 6)
    proposed_edges, proposed = random_histogram(generator, 2, 4)
    assert torch.autograd.gradcheck(
        lambda w: interlevel_loss(edges, weights, proposed_edges, w), (0.3 * proposed).requires_grad_()
    )
    assert torch.autograd.gradcheck(lambda w: distortion_loss(edges, w), weights.clone().requires_grad_())


def test_interlevel_teaches_the_proposal_only() -> None:
    generator = torch.Generator().manual_seed(0)
    edges, weights = random_histogram(generator, 2, 6)
    proposed_edges, proposed = random_histogram(generator, 2, 4)
    weights.requires_grad_()
    proposed = (0.1 * proposed).requires_grad_()
    interlevel_loss(edges, weights, proposed_edges, proposed).sum().backward()
    assert weights.grad is None
    assert proposed.grad is not None
    assert (proposed.grad <= 0).all()
    assert (proposed.grad < 0).any()


def test_a_proposal_that_covers_the_weights_costs_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    edges, weights = random_histogram(generator, 4, 8)
    coarse_edges, coarse = edges[:, ::2], weights.view(4, 4, 2).sum(dim=2)
    assert (interlevel_loss(edges, weights, coarse_edges, coarse) < 1e-12).all()


def test_distortion_is_least_for_one_narrow_interval() -> None:
    edges = torch.tensor([[0.0, 0.4, 0.41, 1.0]]).double()
    narrow, spread = torch.tensor([[0.0, 1.0, 0.0]]).double(), torch.tensor([[0.5, 0.0, 0.5]]).double()
    torch.testing.assert_close(distortion_loss(edges, narrow), torch.tensor([0.01 / 3]).double())
    assert distortion_loss(edges, spread) > 0.2
