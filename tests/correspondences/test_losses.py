import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.correspondences.losses import (
    SMALLEST_SPREAD,
    correspondence_loss,
    exchanged_latents,
    latents_at,
    matched_latents,
    relative_correspondence_loss,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_lookups_are_exact_at_centres_and_linear_between() -> None:
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    latents = torch.stack([columns, rows, 2 * columns - 3 * rows])[None]
    cells = torch.tensor([[0.0, 0.0], [6.0, 4.0], [2.25, 3.5], [5.9, 0.1]])
    values = latents_at(latents, (cells[None] + 0.5) * 8, factor=8)[0]
    expected = torch.stack([cells[:, 0], cells[:, 1], 2 * cells[:, 0] - 3 * cells[:, 1]], dim=1)
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=0)


def test_lookups_beyond_the_outermost_centres_repeat_them() -> None:
    latents = normal(1, 2, 3, 3)
    corner = latents_at(latents, torch.tensor([[[0.0, 0.0]]], dtype=torch.float64), factor=4)
    torch.testing.assert_close(corner[0, 0], latents[0, :, 0, 0])


def test_matched_latents_are_those_of_either_image() -> None:
    latents, positions = normal(6, 2, 4, 4), 32 * torch.rand(3, 5, 2, 2, dtype=torch.float64)
    first, second = matched_latents(latents, positions, factor=8)
    assert torch.equal(first, latents_at(latents[:3], positions[:, :, 0], factor=8))
    assert torch.equal(second, latents_at(latents[3:], positions[:, :, 1], factor=8))


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_correspondence_loss_is_the_weighted_sum_over_pairs(seed: int) -> None:
    first, second = normal(3, 6, 4, seed=seed), normal(3, 6, 4, seed=seed + 1)
    shared = normal(3, 6, seed=seed + 2) > 0
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    expected = 0.0
    for pair in range(3):
        norms = [
            sum(abs(float(first[pair, k, c] - second[pair, k, c])) for c in range(4)) / 4
            for k in range(6)
            if shared[pair, k]
        ]
        expected += float(weights[pair]) * sum(norms) / max(1, len(norms))
    assert float(correspondence_loss(first, second, shared, weights)) == pytest.approx(expected)


def test_the_relative_loss_divides_by_the_mean_deviation_of_the_shared_latents() -> None:
    first, second = normal(2, 6, 4), normal(2, 6, 4, seed=1)
    shared = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    weights = torch.tensor([0.4, 0.6], dtype=torch.float64)
    expected = 0.0
    for pair in range(2):
        a, b = first[pair][shared[pair]], second[pair][shared[pair]]
        both = torch.cat([a, b])
        spread = (both - both.mean(0)).abs().mean()
        expected += float(weights[pair] * (a - b).abs().mean() / (spread + SMALLEST_SPREAD))
    assert float(relative_correspondence_loss(first, second, shared, weights)) == pytest.approx(expected)


def test_only_the_relative_loss_forgives_no_shrinking() -> None:
    first, second = 100 * normal(1, 50, 4), 100 * normal(1, 50, 4, seed=1)
    shared, weights = torch.ones(1, 50, dtype=torch.bool), torch.ones(1, dtype=torch.float64)
    for loss, ratio in ((correspondence_loss, 0.5), (relative_correspondence_loss, 1.0)):
        whole, half = (float(loss(s * first, s * second, shared, weights)) for s in (1.0, 0.5))
        assert half == pytest.approx(ratio * whole, rel=0.01)


def test_hidden_points_take_no_gradient() -> None:
    first, second = normal(1, 5, 2).requires_grad_(), normal(1, 5, 2, seed=1)
    shared = torch.tensor([[True, False, True, False, False]])
    correspondence_loss(first, second, shared, torch.ones(1, dtype=torch.float64)).backward()
    assert first.grad is not None
    assert (first.grad[0].abs().sum(1) > 0).tolist() == shared[0].tolist()


def test_lookup_and_loss_have_the_gradient_of_finite_differences() -> None:
    first, second = normal(2, 3, 4, 4).requires_grad_(), normal(2, 3, 4, 4, seed=1).requires_grad_()
    positions = 4.0 + 24.0 * torch.rand(2, 5, 2, generator=torch.Generator().manual_seed(3)).double()
    weights = torch.tensor([0.7, 0.3], dtype=torch.float64)

    def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        at = [latents_at(latents, positions, factor=8) for latents in (a, b)]
        return correspondence_loss(at[0], at[1], torch.ones(2, 5, dtype=torch.bool), weights)

    assert torch.autograd.gradcheck(loss, (first, second))


def test_latents_at_points_are_exchanged_and_no_others() -> None:
    """Of two images: at the centre of a latent, nearly so, between latents, hidden, and outside."""
    latents, values = normal(2, 3, 4, 5), normal(2, 5, 3, seed=1)
    positions = torch.tensor([[20.0, 4.0], [4.5, 27.5], [16.0, 12.0], [12.0, 12.0], [44.0, 4.0]]).double()
    shared = torch.tensor([[True, True, True, False, True], [True, False, False, False, False]])
    mixed = exchanged_latents(latents, values, positions.expand(2, 5, 2), shared, factor=8)
    expected = latents.clone()
    expected[0, :, 0, 2], expected[0, :, 3, 0] = values[0, 0], values[0, 1]
    expected[1, :, 0, 2] = values[1, 0]
    assert torch.equal(mixed, expected)
    assert torch.equal(latents, normal(2, 3, 4, 5))


def test_gradients_of_exchanged_latents_go_where_they_come_from() -> None:
    latents, values = normal(1, 2, 3, 3).requires_grad_(), normal(1, 2, 2, seed=1).requires_grad_()
    positions = torch.tensor([[[4.0, 4.0], [20.0, 12.0]]], dtype=torch.float64)
    shared = torch.ones(1, 2, dtype=torch.bool)

    def mixed(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return exchanged_latents(a, b, positions, shared, factor=8)

    assert torch.autograd.gradcheck(mixed, (latents, values))
    mixed(latents, values).sum().backward()
    assert latents.grad is not None
    assert latents.grad[0, 0].tolist() == [[0, 1, 1], [1, 1, 0], [1, 1, 1]]
