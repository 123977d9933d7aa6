import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.fields.total_variation import total_variation, total_variation_sum

orders = st.sampled_from([(1, 1), (2, 1), (2, 2), (1, 2)])


def by_definition(maps: Tensor, *, p: int, q: int) -> float:
    """Eq. 13 pixel by pixel for maps (N, H, W, C), each direction a mean over its neighbours and the channels."""
    count, height, width, channels = maps.shape
    sums = [0.0, 0.0]
    for n in range(count):
        for i in range(height):
            for j in range(width):
                for direction, (k, m) in enumerate(((i - 1, j), (i, j - 1))):
                    if k >= 0 and m >= 0:
                        sums[direction] += float((maps[n, i, j] - maps[n, k, m]).norm(p=p)) ** q
    neighbours = (count * (height - 1) * width, count * height * (width - 1))
    return sum(total / (number * channels) for total, number in zip(sums, neighbours, strict=True))


@settings(deadline=None, max_examples=20)
@given(orders=orders, seed=st.integers(0, 2**31 - 1))
def test_it_is_equation_13_per_element(orders: tuple[int, int], seed: int) -> None:
    p, q = orders
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 4, 5, 3, generator=generator, dtype=torch.float64)
    assert float(total_variation(maps, p=p, q=q)) == pytest.approx(by_definition(maps, p=p, q=q), rel=1e-6)


def test_a_ramp_has_its_slope_squared() -> None:
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(9.0), indexing="ij")
    maps = (2 * rows + 3 * columns)[None, :, :, None].expand(3, 6, 9, 4)
    assert float(total_variation(maps)) == pytest.approx(2**2 + 3**2)


def test_a_constant_has_none_and_a_finite_gradient() -> None:
    for q in (1, 2):
        maps = torch.full((3, 4, 4, 2), 0.7, requires_grad=True)
        value = total_variation(maps, p=2, q=q)
        value.backward()
        assert float(value.detach()) == pytest.approx(0, abs=1e-5)
        assert maps.grad is not None
        assert maps.grad.isfinite().all()


def test_the_weight_means_the_same_for_any_number_of_maps_and_channels() -> None:
    rows = torch.arange(5.0)[:, None, None]
    small, large = (rows.expand(n, 5, 7, c) for n, c in ((1, 1), (6, 32)))
    assert float(total_variation(small)) == pytest.approx(float(total_variation(large)))


def test_gradients_match_finite_differences() -> None:
    maps = torch.randn(
        2, 3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(lambda m: total_variation(m, p=2, q=2), (maps,))
    assert torch.autograd.gradcheck(lambda m: total_variation(m, p=2, q=1), (maps,))


@pytest.mark.parametrize(("p", "q"), [(2, 2), (2, 1), (1, 1)])
def test_the_papers_sum_is_equation_13(p: int, q: int) -> None:
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for found, image in zip(total_variation_sum(maps, p=p, q=q), maps, strict=True):
        total = 0.0
        for i in range(3):
            for j in range(4):
                if i:
                    total += float((image[i, j] - image[i - 1, j]).norm(p=p)) ** q
                if j:
                    total += float((image[i, j] - image[i, j - 1]).norm(p=p)) ** q
        assert float(found) == pytest.approx(total / 12)


def test_the_papers_sum_has_a_gradient_where_nothing_varies() -> None:
    maps = torch.zeros(1, 3, 3, 2, requires_grad=True)
    total_variation_sum(maps, p=2, q=1).sum().backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()
