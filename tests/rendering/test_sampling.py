import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.sampling import box_segment, sample_edges

fast = settings(deadline=None, max_examples=30)
seeds = st.integers(0, 2**31 - 1)


def random_rays(seed: int, count: int = 200) -> Rays:
    """Rays that start inside and outside of the box, float64; some run along an axis."""
    generator = torch.Generator().manual_seed(seed)
    origins = 6 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 3
    directions = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    directions[::5, 0] = 0
    directions[::10, 1] = 0
    directions = torch.nn.functional.normalize(directions, dim=-1)
    return Rays(origins, directions)


def ray(origin: tuple[float, ...], direction: tuple[float, ...]) -> Rays:
    toward = torch.nn.functional.normalize(torch.tensor([direction]).float(), dim=-1)
    return Rays(torch.tensor([origin]).float(), toward)


def inside(points: Tensor, *, margin: float) -> Tensor:
    return (points.abs() < 1 - margin).all(dim=-1)


@fast
@given(seed=seeds)
def test_the_segment_is_what_of_the_ray_is_in_the_box(seed: int) -> None:
    rays = random_rays(seed)
    near, far = 0.3, 4.0
    enter, leave = box_segment(rays, near=near, far=far)
    assert (enter <= leave).all()
    assert (enter >= near).all()
    assert (leave <= far).all()
    share = torch.linspace(0.01, 0.99, 9, dtype=torch.float64)
    distance = enter[:, None] + (leave - enter)[:, None] * share
    within = rays.origins[:, None] + distance[..., None] * rays.directions[:, None]
    long = leave - enter > 1e-6
    assert inside(within[long], margin=-1e-9).all()
    # And nothing that is in the box was left out.
    everywhere = torch.linspace(near, far, 400, dtype=torch.float64)
    points = rays.origins[:, None] + everywhere[:, None] * rays.directions[:, None]
    outside = (everywhere < enter[:, None] - 1e-9) | (everywhere > leave[:, None] + 1e-9)
    assert not (inside(points, margin=1e-9) & outside).any()


def test_known_segments() -> None:
    enter, leave = box_segment(ray((0, 0, 3), (0, 0, -1)), near=0.1, far=10)
    assert (enter.item(), leave.item()) == pytest.approx((2, 4))
    enter, leave = box_segment(ray((0, 0, 0), (1, 1, 0)), near=0.1, far=10)
    assert (enter.item(), leave.item()) == pytest.approx((0.1, math.sqrt(2)))
    enter, leave = box_segment(ray((0, 0, 3), (0, 0, -1)), near=2.5, far=3.5)
    assert (enter.item(), leave.item()) == pytest.approx((2.5, 3.5))


@pytest.mark.parametrize(
    ("origin", "direction"),
    [((0, 0, 3), (0, 0, 1)), ((0, 5, 3), (0, 0, -1)), ((4, 0, 3), (-0.1, 0, -1)), ((0, 1.5, 0), (1, 0, 1))],
)
def test_rays_beside_the_box_get_an_empty_segment_in_range(
    origin: tuple[float, ...], direction: tuple[float, ...]
) -> None:
    enter, leave = box_segment(ray(origin, direction), near=0.5, far=6.0)
    assert enter.item() == leave.item()
    assert 0.5 <= enter.item() <= 6.0


def random_weights(seed: int, *, rays: int = 20, bins: int = 16) -> Tensor:
    """Positive weights over many orders of magnitude."""
    generator = torch.Generator().manual_seed(seed)
    return torch.exp(8 * torch.rand(rays, bins, generator=generator, dtype=torch.float64) - 4)


def mass_below(weights: Tensor, edges: Tensor) -> Tensor:
    """The integral of the normalised piecewise-constant density from 0 to each edge (R, S + 1)."""
    bins = weights.shape[1]
    filled = (edges[..., None] * bins - torch.arange(bins, dtype=edges.dtype)).clamp(0, 1)
    return (filled * weights[:, None]).sum(dim=-1) / weights.sum(dim=1, keepdim=True)


@fast
@given(seed=seeds, count=st.integers(1, 40), bins=st.integers(1, 70))
def test_intervals_have_equal_mass_and_cover_everything(seed: int, count: int, bins: int) -> None:
    weights = random_weights(seed, bins=bins)
    edges = sample_edges(weights, count, jitter=None)
    assert edges.shape == (20, count + 1)
    assert (edges[:, 0] == 0).all()
    assert (edges[:, -1] == 1).all()
    assert (edges.diff(dim=1) >= 0).all()
    expected = torch.arange(count + 1, dtype=torch.float64).expand(20, -1) / count
    torch.testing.assert_close(mass_below(weights, edges), expected, atol=1e-9, rtol=0)


@fast
@given(seed=seeds, count=st.integers(2, 40))
def test_jitter_moves_quantiles_within_their_stratum(seed: int, count: int) -> None:
    weights = random_weights(seed)
    jitter = torch.rand(20, count - 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    edges = sample_edges(weights, count, jitter=jitter - 0.5)
    assert (edges.diff(dim=1) >= 0).all()
    assert (edges[:, [0, -1]] == torch.tensor([0.0, 1.0], dtype=torch.float64)).all()
    inner = mass_below(weights, edges)[:, 1:-1]
    expected = (torch.arange(1, count, dtype=torch.float64) + jitter - 0.5) / count
    torch.testing.assert_close(inner, expected, atol=1e-9, rtol=0)


def test_without_jitter_the_result_is_always_the_same() -> None:
    weights = random_weights(3).float()
    first = sample_edges(weights, 12, jitter=None)
    assert torch.equal(first, sample_edges(weights, 12, jitter=None))


def test_float32_edges_stay_sorted_under_extreme_weights() -> None:
    weights = torch.full((1, 64), 1e-6)
    weights[0, [3, 4, 50]] = torch.tensor([1.0, 1e-3, 0.5])
    edges = sample_edges(weights, 48, jitter=None)
    assert (edges.diff(dim=1) >= 0).all()
    assert edges.isfinite().all()


def test_samples_converge_to_the_quantiles_of_the_density() -> None:
    # Density 2x on [0, 1]: the quantile function is the square root.
    bins = 4096
    weights = (torch.arange(bins, dtype=torch.float64) + 0.5)[None]
    edges = sample_edges(weights, 10, jitter=None)[0]
    torch.testing.assert_close(edges, torch.linspace(0, 1, 11, dtype=torch.float64).sqrt(), atol=1e-3, rtol=0)
