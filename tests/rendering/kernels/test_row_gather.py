import pytest
import torch
from torch import Tensor

from latentfields.rendering.kernels.backend import kernel_backend
from latentfields.rendering.kernels.row_gather import gather_rows, scatter_rows, scatter_rows_reference

needs_warp = pytest.mark.skipif(kernel_backend() != "warp", reason="warp is not installed")


def random_rows(points: int, corners: int, *, rows: int = 50) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(points)
    index = torch.randint(rows, (points, corners), generator=generator)
    return index, torch.randn(points, corners, generator=generator)


def test_a_loop_over_points_agrees_both_ways() -> None:
    index, weight = random_rows(7, 4, rows=5)
    table, gradient = torch.randn(5, 3), torch.randn(7, 3)
    gathered, scattered = torch.zeros(7, 3), torch.zeros(5, 3)
    for point in range(7):
        for corner in range(4):
            gathered[point] += weight[point, corner] * table[index[point, corner]]
            scattered[index[point, corner]] += weight[point, corner] * gradient[point]
    torch.testing.assert_close(gather_rows(table, index, weight), gathered)
    torch.testing.assert_close(scatter_rows_reference(gradient, index, weight, rows=5), scattered)


def test_gradients_are_those_of_finite_differences() -> None:
    index, weight = random_rows(6, 3, rows=4)
    table = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: gather_rows(t, index, weight.double()), (table,))
    weights = weight.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda t, w: gather_rows(t, index, w), (table, weights))
    assert torch.autograd.gradcheck(lambda w: gather_rows(table.detach(), index, w), (weights,))


@needs_warp
@pytest.mark.parametrize(("corners", "channels"), [(4, 1), (12, 32)])
@pytest.mark.parametrize("points", [1, 9000])
def test_on_warp_the_scatter_is_the_twins(corners: int, channels: int, points: int) -> None:
    index, weight = random_rows(points, corners)
    gradient = torch.randn(points, channels, generator=torch.Generator().manual_seed(1))
    expected = scatter_rows_reference(gradient.double(), index, weight.double(), rows=50)
    found = scatter_rows(gradient, index, weight, rows=50)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-3)


def test_an_expanded_gradient_is_read_as_it_is() -> None:
    index, weight = random_rows(20, 4)
    gradient = torch.tensor([2.0]).expand(20, 3)
    expected = scatter_rows_reference(gradient.contiguous(), index, weight, rows=50)
    torch.testing.assert_close(scatter_rows(gradient, index, weight, rows=50), expected)


def test_no_points_leave_the_table_without_gradient() -> None:
    index, weight = random_rows(0, 4)
    assert not scatter_rows(torch.zeros(0, 3), index, weight, rows=5).any()
