"""Compositing against a loop over pixels and Gaussians; the kernels against their twin."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from helpers.splatting_scenes import cloud, crooked_camera, gradients, tensors
from latentfields.rendering.kernels.backend import kernel_backend
from latentfields.rendering.splatting import compositing_cuda
from latentfields.rendering.splatting.compositing import _Composite, composite, composite_reference
from latentfields.rendering.splatting.projection import ProjectedGaussians, project_reference
from latentfields.rendering.splatting.tiles import tile_lists

needs_warp = pytest.mark.skipif(kernel_backend() != "warp", reason="warp is not installed")

WIDTH, HEIGHT = 22, 17
LEARNT = ("means_2d", "conics", "opacities")


def scene(count: int, *, dtype: torch.dtype = torch.float32, seed: int = 0) -> ProjectedGaussians:
    """Projected Gaussians whose learnt members are leaves."""
    camera = crooked_camera(WIDTH, HEIGHT).to(dtype)
    gaussians = cloud(count, seed=seed, dtype=dtype)
    projected = project_reference(gaussians, camera, near=0.2, blur=0.3, antialiased=False)
    leaves = {name: getattr(projected, name).detach().requires_grad_() for name in LEARNT}
    return dataclasses.replace(projected, **leaves)


def random(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def composite_by_loop(projected: ProjectedGaussians, values: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel by pixel, all Gaussians in front of the camera by depth, as the formulas stand; differentiable."""
    nearest_first = sorted(
        projected.radii.nonzero()[:, 0].tolist(), key=lambda g: (float(projected.depths[g]), g)
    )
    summed, left = [], []
    for row in range(HEIGHT):
        for column in range(WIDTH):
            total, passing = torch.zeros_like(values[0]), torch.ones_like(values[0, 0])
            for g in nearest_first:
                dx, dy = column + 0.5 - projected.means_2d[g, 0], row + 0.5 - projected.means_2d[g, 1]
                xx, xy, yy = projected.conics[g]
                alpha = projected.opacities[g] * torch.exp(-0.5 * (xx * dx**2 + yy * dy**2) - xy * dx * dy)
                if alpha.item() > 0.99:
                    alpha = torch.full_like(alpha, 0.99)
                if alpha.item() < 1 / 255:
                    continue
                if (passing * (1 - alpha)).item() <= 1e-4:
                    break
                total = total + passing * alpha * values[g]
                passing = passing * (1 - alpha)
            summed.append(total)
            left.append(passing)
    return torch.stack(summed, dim=1).view(-1, HEIGHT, WIDTH), torch.stack(left).view(HEIGHT, WIDTH)


def composite_by_the_body_for_cuda(
    projected: ProjectedGaussians, values: Tensor, *, width: int, height: int
) -> tuple[Tensor, Tensor]:
    """The scalar body, which a CPU can run too."""
    lists = tile_lists(projected, tile=compositing_cuda.TILE, width=width, height=height)
    inputs = (projected.means_2d, projected.conics, projected.opacities, values)
    out: tuple[Tensor, Tensor] = _Composite.apply(*inputs, *lists, compositing_cuda, width, height)  # type: ignore[no-untyped-call]
    return out


def run(function: object, projected: ProjectedGaussians, values: Tensor) -> list[Tensor]:
    """Sums, transmittance, and the gradients of a random functional of both for centres, conics, opacities, values."""
    assert callable(function)
    for leaf in (*tensors(projected, *LEARNT), values):
        leaf.grad = None
    summed, left = function(projected, values, width=WIDTH, height=HEIGHT)
    dtype = values.dtype
    loss = (summed * random(*summed.shape, seed=5, dtype=dtype)).sum()
    loss = loss + (left * random(*left.shape, seed=6, dtype=dtype)).sum()
    loss.backward()
    assert values.grad is not None
    return [summed.detach(), left.detach(), *gradients(projected, *LEARNT), values.grad]


def test_a_loop_over_pixels_agrees_in_values_and_gradients() -> None:
    projected = scene(25, dtype=torch.float64)
    values = random(25, 2, dtype=torch.float64).requires_grad_()
    expected = run(lambda p, v, **_: composite_by_loop(p, v), projected, values)
    for value, twin in zip(run(composite_reference, projected, values), expected, strict=True):
        torch.testing.assert_close(value, twin)


def test_the_scene_meets_cut_cap_and_stop() -> None:
    """Where kernels are compared with their twin, each of the three rules makes a difference."""
    projected = scene(400, dtype=torch.float64)
    _, left = composite_reference(projected, random(400, 1, dtype=torch.float64), width=WIDTH, height=HEIGHT)
    without_stop = _transmittance_of_all(projected)
    assert 1e-4 < left.min().item() < 1.2e-4
    assert without_stop.min().item() < 1e-5
    assert projected.opacities.max().item() > 0.99


def _transmittance_of_all(projected: ProjectedGaussians) -> Tensor:
    """The product of one minus alpha over all visible Gaussians (H, W)."""
    rows, columns = torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5
    visible = projected.radii > 0
    mean_x, mean_y = projected.means_2d.detach()[visible].unbind(-1)
    xx, xy, yy = projected.conics.detach()[visible].unbind(-1)
    dx, dy = columns[None, :, None] - mean_x, rows[:, None, None] - mean_y
    exponent = 0.5 * (xx * dx**2 + yy * dy**2) + xy * dx * dy
    alpha = (projected.opacities.detach()[visible] * torch.exp(-exponent)).clamp(max=0.99)
    return (1 - alpha).prod(dim=-1)


def test_the_twins_gradients_are_those_of_finite_differences() -> None:
    projected = scene(12, dtype=torch.float64)
    values = random(12, 2, dtype=torch.float64).requires_grad_()

    def function(means: Tensor, conics: Tensor, opacities: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        moved = dataclasses.replace(projected, means_2d=means, conics=conics, opacities=opacities)
        return composite_reference(moved, values, width=WIDTH, height=HEIGHT)

    inputs = (*tensors(projected, *LEARNT), values)
    assert torch.autograd.gradcheck(function, inputs, eps=1e-7, atol=1e-4, fast_mode=True)


@needs_warp
@pytest.mark.parametrize("function", [composite, composite_by_the_body_for_cuda])
@pytest.mark.parametrize("channels", [1, 4, 17, 35])
def test_on_warp_values_and_gradients_are_the_twins(function: object, channels: int) -> None:
    projected, values = scene(400), random(400, channels).requires_grad_()
    result, expected = run(function, projected, values), run(composite_reference, projected, values)
    for value, twin in zip(result, expected, strict=True):
        torch.testing.assert_close(value, twin, rtol=1e-3, atol=2e-5 * float(twin.abs().max()))


@needs_warp
def test_a_long_thin_gaussian_across_the_image_is_composited_alike() -> None:
    projected = scene(2)
    angle = math.radians(31)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    covariance = turn @ torch.diag(torch.tensor([1e6, 0.3])) @ turn.T
    inverse = turn @ torch.diag(torch.tensor([1e-6, 1 / 0.3])) @ turn.T
    conic = torch.stack([inverse[0, 0], inverse[0, 1], inverse[1, 1]])
    gaussians = dataclasses.replace(
        projected,
        means_2d=torch.tensor([[9.0, 8.0], [14.0, 8.0]]).requires_grad_(),
        conics=conic.expand(2, 3).clone().requires_grad_(),
        opacities=torch.tensor([0.7, 1.0]).requires_grad_(),
        depths=torch.tensor([1.0, 2.0]),
        extents=3.4 * covariance.diagonal().sqrt().expand(2, 2),
        radii=torch.full((2,), 3400, dtype=torch.int32),
    )
    values = random(2, 4).requires_grad_()
    result, expected = run(composite, gaussians, values), run(composite_reference, gaussians, values)
    assert expected[1].min().item() < 0.1
    for value, twin in zip(result, expected, strict=True):
        torch.testing.assert_close(value, twin, rtol=1e-3, atol=1e-4 * float(twin.abs().max()))


def test_the_same_input_gives_the_same_bits() -> None:
    results = []
    for _ in range(2):
        values = random(300, 4).requires_grad_()
        results.append(run(composite, scene(300), values))
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


@needs_warp
def test_strided_inputs_and_gradients_are_read_as_they_are() -> None:
    projected, values = scene(40), random(40, 8).requires_grad_()
    strided = random(40, 8)[:, ::2].requires_grad_()
    dense = strided.detach().clone().contiguous().requires_grad_()
    assert not strided.is_contiguous()
    for left, right in zip(run(composite, projected, strided), run(composite, projected, dense), strict=True):
        assert torch.equal(left, right)
    summed, _ = composite(projected, values, width=WIDTH, height=HEIGHT)
    summed.sum().backward()  # Its gradient is one number, expanded.
    assert values.grad is not None
    assert float(values.grad[:, 0].abs().sum()) > 0
    torch.testing.assert_close(values.grad, values.grad[:, :1].expand(-1, 8))
