import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.rendering.kernels import plane_lookup as lookup_module
from latentfields.rendering.kernels.backend import kernel_backend
from latentfields.rendering.kernels.plane_lookup import (
    plane_features,
    plane_lookup,
    plane_lookup_reference,
)

needs_warp = pytest.mark.skipif(kernel_backend() != "warp", reason="warp is not installed")
fast = settings(deadline=None, max_examples=25)


def planes_and_points(
    seed: int, *, resolution: int, channels: int = 3, points: int = 40
) -> tuple[Tensor, Tensor]:
    """Random planes, and points inside, on the border and in the corners of the box; float64."""
    generator = torch.Generator().manual_seed(seed)
    planes = torch.randn(3, resolution, resolution, channels, generator=generator, dtype=torch.float64)
    position = 2 * torch.rand(points, 3, generator=generator, dtype=torch.float64) - 1
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)] * 3)
    centres = (torch.randint(resolution, (points, 3), generator=generator) + 0.5) * 2 / resolution - 1
    return planes, torch.cat([position, corners, centres.double()])


@fast
@given(seed=st.integers(0, 2**31 - 1), resolution=st.integers(2, 40), channels=st.integers(1, 9))
def test_values_and_gradients_are_the_reference_ones(seed: int, resolution: int, channels: int) -> None:
    planes, points = planes_and_points(seed, resolution=resolution, channels=channels)
    ours, theirs = planes.clone().requires_grad_(), planes.clone().requires_grad_()
    value, expected = plane_lookup(ours, points), plane_lookup_reference(theirs, points)
    torch.testing.assert_close(value, expected)
    weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    (value * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("lookup", [plane_lookup, plane_lookup_reference])
def test_a_cell_centre_reads_its_cell_of_each_plane(lookup: object) -> None:
    assert callable(lookup)
    resolution = 5
    planes = torch.arange(3 * resolution**2, dtype=torch.float64).view(3, resolution, resolution, 1)
    x, y, z = 1, 4, 2
    point = (torch.tensor([[x, y, z]], dtype=torch.float64) + 0.5) * 2 / resolution - 1
    # Row is the second axis of a plane's name, column the first: xy, xz, yz.
    expected = planes[0, y, x] + planes[1, z, x] + planes[2, z, y]
    torch.testing.assert_close(lookup(planes, point)[0], expected)


def test_between_cells_it_is_linear_and_beyond_the_border_constant() -> None:
    planes = torch.zeros(3, 4, 4, 1, dtype=torch.float64)
    planes[0] = torch.arange(4, dtype=torch.float64)[None, :, None]
    x = torch.tensor([-1.0, -0.75, -0.5, -0.25, 0.6, 0.75, 1.0], dtype=torch.float64)
    points = torch.stack([x, torch.full_like(x, 0.3), torch.full_like(x, -0.9)], dim=-1)
    found = plane_lookup(planes, points)[:, 0]
    expected = ((x + 1) * 2 - 0.5).clamp(0, 3)
    torch.testing.assert_close(found, expected)


def test_gradients_match_finite_differences() -> None:
    planes, points = planes_and_points(0, resolution=3, channels=2, points=6)
    assert torch.autograd.gradcheck(lambda p: plane_lookup(p, points), (planes.requires_grad_(),))


def test_no_points_is_a_result_too() -> None:
    planes = torch.randn(3, 4, 4, 5, requires_grad=True)
    value = plane_lookup(planes, torch.zeros(0, 3))
    assert value.shape == (0, 5)
    value.sum().backward()
    assert planes.grad is not None
    assert not planes.grad.any()


def test_the_same_input_gives_the_same_bits() -> None:
    planes, points = planes_and_points(2, resolution=16, points=3000)
    results = []
    for _ in range(2):
        table = planes.float().requires_grad_()
        plane_lookup(table, points.float()).square().sum().backward()
        assert table.grad is not None
        results.append(table.grad)
    first, second = results
    assert torch.equal(first, second)


@needs_warp
@pytest.mark.parametrize("resolution", [2, 3, 64, 517])
@pytest.mark.parametrize("points", [1, 9000])
def test_on_warp_the_bits_are_those_of_pytorch(
    resolution: int, points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes, exact = planes_and_points(1, resolution=resolution, channels=16, points=points)
    # Beyond the borders, too; in another layout than that of the kernel.
    scattered = (1.1 * exact).float().T.contiguous().T
    fitted = planes.float().requires_grad_()
    looked_at, trained = plane_features(planes.float(), scattered), plane_features(fitted, scattered)
    trained.sum().backward()
    monkeypatch.setattr(lookup_module, "_runs_on_warp", lambda *_: False)
    again = planes.float().requires_grad_()
    expected = plane_features(again, scattered)
    expected.sum().backward()
    assert torch.equal(looked_at, expected)
    assert torch.equal(trained, expected)
    assert fitted.grad is not None
    assert again.grad is not None
    assert torch.equal(fitted.grad, again.grad)
