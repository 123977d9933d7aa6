import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.rendering.volume import composite_packed, transmittance_and_weights

fast = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**31 - 1)


def random_lengths(seed: int, *, rays: int, intervals: int, total: float) -> Tensor:
    """Positive interval lengths (R, S), float64, that add up to `total` on every ray."""
    lengths = torch.rand(rays, intervals, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return total * (lengths + 0.01) / (lengths + 0.01).sum(dim=1, keepdim=True)


def composite(weights: Tensor, values: Tensor, rest: Tensor, background: Tensor) -> Tensor:
    """Every sample (R, S, C) of every ray, through the packed form."""
    ray = torch.arange(len(weights)).repeat_interleave(weights.shape[1])
    return composite_packed(weights.flatten(), values.flatten(0, 1), ray, rest, background)


@fast
@given(seed=seeds, density=st.floats(0, 50), length=st.floats(0.01, 3))
def test_a_slab_absorbs_exponentially_however_it_is_cut(seed: int, density: float, length: float) -> None:
    lengths = random_lengths(seed, rays=4, intervals=7, total=length)
    rest, weights = transmittance_and_weights(torch.full_like(lengths, density), lengths)
    torch.testing.assert_close(rest, torch.full_like(rest, math.exp(-density * length)))
    far = lengths.cumsum(dim=1)
    expected = torch.exp(-density * (far - lengths)) - torch.exp(-density * far)
    torch.testing.assert_close(weights, expected)


@fast
@given(seed=seeds, scale=st.floats(-3, 11))
def test_weights_and_rest_sum_to_one_in_float32(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Up to the highest density a field can have, exp(11).
    density = torch.exp(scale * torch.rand(64, 24, generator=generator))
    lengths = 0.2 * torch.rand(64, 24, generator=generator)
    rest, weights = transmittance_and_weights(density, lengths)
    assert (weights >= 0).all()
    torch.testing.assert_close(rest + weights.sum(dim=1), torch.ones(64), atol=2e-6, rtol=0)


def test_a_thin_wall_is_seen_where_it_stands() -> None:
    lengths = torch.full((1, 100), 0.01, dtype=torch.float64)
    middle = lengths.cumsum(dim=1) - 0.005
    density = torch.zeros_like(lengths)
    density[0, 37] = 1e4
    rest, weights = transmittance_and_weights(density, lengths)
    assert rest.item() == pytest.approx(0)
    assert (weights * middle).sum().item() == pytest.approx(0.375)


def test_nothing_behind_a_wall_shows_through() -> None:
    density = torch.tensor([[0.0, 1e6, 3.0, 1e6]])
    _, weights = transmittance_and_weights(density, torch.ones(1, 4))
    assert weights.tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_two_layers_over_a_background_mix_as_they_should() -> None:
    lengths = torch.tensor([[0.25, 0.25, 0.5]], dtype=torch.float64)
    density = torch.tensor([[2.0, 2.0, 3.0]], dtype=torch.float64)
    red, blue = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    values = torch.stack([red, red, blue])[None].double()
    background = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    rest, weights = transmittance_and_weights(density, lengths)
    seen = composite(weights, values, rest, background)[0]
    front, back = math.exp(-2 * 0.5), math.exp(-3 * 0.5)
    assert seen.tolist() == pytest.approx([1 - front, front * back, front * (1 - back)])


def test_packed_samples_may_come_in_any_order_and_be_missing() -> None:
    generator = torch.Generator().manual_seed(0)
    weights, rest = torch.rand(5, 6, generator=generator), torch.rand(5, generator=generator)
    values, background = torch.rand(5, 6, 3, generator=generator), torch.rand(3, generator=generator)
    weights[torch.rand(5, 6, generator=generator) < 0.5] = 0
    weights[2] = 0
    ray, sample = weights.nonzero(as_tuple=True)
    order = torch.randperm(len(ray), generator=generator)
    ray, sample = ray[order], sample[order]
    packed = composite_packed(weights[ray, sample], values[ray, sample], ray, rest, background)
    expected = (weights[..., None] * values).sum(dim=1) + rest[:, None] * background
    torch.testing.assert_close(packed, expected)
    torch.testing.assert_close(packed[2], rest[2] * background)


def test_gradients_match_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    def render(density: Tensor, lengths: Tensor, values: Tensor, background: Tensor) -> Tensor:
        rest, weights = transmittance_and_weights(density, lengths)
        return composite(weights, values, rest, background)

    inputs = (uniform(3, 5), uniform(3, 5), uniform(3, 5, 2), uniform(2))
    assert torch.autograd.gradcheck(render, inputs)


def test_gradient_of_density_zero_is_not_zero() -> None:
    density = torch.zeros(1, 4, requires_grad=True)
    rest, _ = transmittance_and_weights(density, torch.full((1, 4), 0.5))
    rest.sum().backward()
    assert density.grad is not None
    assert density.grad.tolist() == [[-0.5] * 4]
