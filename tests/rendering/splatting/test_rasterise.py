"""Images of Gaussians: closed forms, invariances and gradients from pixels to Gaussians."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.splatting_scenes import cloud, crooked_camera, gradients, straight_camera, tensors, trainable
from latentfields.cameras import Cameras
from latentfields.rendering.splatting.gaussians import Gaussians
from latentfields.rendering.splatting.projection import project
from latentfields.rendering.splatting.rasterise import rasterise

dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["kernels", "twins"])


FAR = 7.0


@dataclass(frozen=True)
class Image:
    """The one image of a rendering."""

    features: Tensor
    """(C, h, w)."""
    opacity: Tensor
    """(1, h, w)."""
    depth: Tensor
    """(1, h, w)."""


def draw(gaussians: Gaussians, features: Tensor, background: Tensor, camera: Cameras) -> Image:
    camera = camera.to(features.dtype)
    projected = project(gaussians, camera, near=0.2, blur=0.3, antialiased=False)
    seen = rasterise(projected, features, background, camera, far=FAR)
    assert seen.features.shape[0] == seen.opacity.shape[0] == seen.depth.shape[0] == 1
    assert seen.splats == (projected,)
    return Image(seen.features[0], seen.opacity[0], seen.depth[0])


def balls(*, depths: list[float], opacities: list[float], dtype: torch.dtype) -> Gaussians:
    """Balls along the axis of a straight camera."""
    n = len(depths)
    means = torch.zeros(n, 3, dtype=dtype)
    means[:, 2] = -torch.tensor(depths, dtype=dtype)
    rotations = torch.tensor([[1.0, 0, 0, 0]], dtype=dtype).repeat(n, 1)
    return Gaussians(
        means, rotations, torch.full((n, 3), 0.5, dtype=dtype), torch.tensor(opacities, dtype=dtype)
    )


@dtypes
def test_one_ball_is_a_bell(dtype: torch.dtype) -> None:
    camera = straight_camera(size=33, focal=40.0)
    gaussian = balls(depths=[4.0], opacities=[0.8], dtype=dtype)
    feature = torch.tensor([[2.0, -1.0, 0.5]], dtype=dtype)
    image = draw(gaussian, feature, torch.zeros(3, dtype=dtype), camera)
    distance = torch.arange(33, dtype=dtype) - 16
    squared = distance[:, None] ** 2 + distance**2
    alpha = 0.8 * torch.exp(-squared / (2 * (5.0**2 + 0.3)))
    alpha = torch.where(alpha < 1 / 255, 0.0, alpha)
    assert float(alpha[0, 0]) == 0
    torch.testing.assert_close(image.opacity[0], alpha, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(image.features, feature[0, :, None, None] * alpha, rtol=1e-5, atol=1e-6)
    along_ray = 4.0 * (squared / 40.0**2 + 1).sqrt()
    torch.testing.assert_close(image.depth[0], alpha * along_ray + (1 - alpha) * FAR, rtol=1e-5, atol=1e-6)
    assert float(image.opacity[0, 16, 16]) == pytest.approx(0.8, rel=1e-5)


@dtypes
def test_what_is_in_front_hides_what_is_behind(dtype: torch.dtype) -> None:
    camera = straight_camera(size=9, focal=100.0)
    gaussians = balls(depths=[5.0, 3.0], opacities=[0.9, 0.6], dtype=dtype)
    features = torch.tensor([[1.0], [10.0]], dtype=dtype)
    image = draw(gaussians, features, torch.full((1,), 100.0, dtype=dtype), camera)
    middle = tuple(float(t[0, 4, 4]) for t in (image.features, image.opacity, image.depth))
    weights = (0.6, 0.4 * 0.9)
    assert middle[0] == pytest.approx(weights[0] * 10 + weights[1] * 1 + 0.4 * 0.1 * 100, rel=1e-5)
    assert middle[1] == pytest.approx(sum(weights), rel=1e-5)
    assert middle[2] == pytest.approx(weights[0] * 3 + weights[1] * 5 + 0.4 * 0.1 * FAR, rel=1e-5)


@dtypes
def test_opaque_gaussians_let_a_hundredth_pass_and_end_the_ray(dtype: torch.dtype) -> None:
    camera = straight_camera(size=9, focal=100.0)
    gaussians = balls(depths=[1.0, 2.0, 3.0], opacities=[1.0, 1.0, 1.0], dtype=dtype)
    features = torch.tensor([[1.0], [1.0], [1e6]], dtype=dtype)
    image = draw(gaussians, features, torch.zeros(1, dtype=dtype), camera)
    # The second would leave 1e-4, which is too little: up to rounding, it may be the last or not there.
    middle = float(image.opacity[0, 4, 4])
    assert middle == pytest.approx(0.99, abs=1e-6) or middle == pytest.approx(0.9999, abs=1e-6)
    assert float(image.features[0, 4, 4]) < 1.001


@dtypes
@pytest.mark.parametrize("count", [0, 3])
def test_nothing_in_view_shows_the_background(count: int, dtype: torch.dtype) -> None:
    camera = straight_camera(size=9, focal=10.0)
    gaussians = balls(depths=[-2.0] * count, opacities=[0.5] * count, dtype=dtype)
    background = torch.tensor([0.25, -3.0], dtype=dtype, requires_grad=True)
    image = draw(gaussians, torch.ones(count, 2, dtype=dtype), background, camera)
    assert torch.equal(image.features, background.detach()[:, None, None].expand(2, 9, 9))
    assert not image.opacity.any()
    assert (image.depth == FAR).all()
    image.features.sum().backward()
    assert background.grad is not None
    assert background.grad.tolist() == [81.0, 81.0]


@dtypes
@settings(max_examples=10)
@given(seed=st.integers(0, 2**31 - 1))
def test_the_order_of_the_gaussians_does_not_matter(dtype: torch.dtype, seed: int) -> None:
    gaussians = cloud(60, seed=seed, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(60, 4, generator=generator, dtype=dtype)
    shuffled = torch.randperm(60, generator=generator)
    background = torch.zeros(4, dtype=dtype)
    image = draw(gaussians, features, background, crooked_camera())
    other = draw(
        Gaussians(*(t[shuffled] for t in tensors(gaussians))),
        features[shuffled],
        background,
        crooked_camera(),
    )
    for left, right in zip((image.features, image.opacity), (other.features, other.opacity), strict=True):
        assert torch.equal(left, right)


@dtypes
def test_the_background_fills_what_the_gaussians_leave(dtype: torch.dtype) -> None:
    gaussians, features = (
        cloud(60, dtype=dtype),
        torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).to(dtype),
    )
    background = torch.tensor([1.0, -2.0, 3.0], dtype=dtype)
    black = draw(gaussians, features, torch.zeros(3, dtype=dtype), crooked_camera())
    image = draw(gaussians, features, background, crooked_camera())
    torch.testing.assert_close(
        image.features - black.features, (1 - image.opacity) * background[:, None, None]
    )


@dtypes
def test_a_feature_that_all_share_is_seen_as_it_is(dtype: torch.dtype) -> None:
    same = torch.tensor([0.3, -4.0], dtype=dtype)
    image = draw(cloud(80, dtype=dtype), same.expand(80, 2), same, crooked_camera())
    torch.testing.assert_close(
        image.features, same[:, None, None].expand_as(image.features), rtol=1e-5, atol=1e-5
    )


@dtypes
def test_a_window_of_the_view_shows_the_same_pixels(dtype: torch.dtype) -> None:
    gaussians, background = cloud(80, spread=0.1, dtype=dtype), torch.zeros(2, dtype=dtype)
    features = torch.randn(80, 2, generator=torch.Generator().manual_seed(0)).to(dtype)
    camera = crooked_camera()
    window = camera.cropped(left=1, top=2, width=camera.width - 1, height=camera.height - 2)
    whole, part = (draw(gaussians, features, background, view) for view in (camera, window))
    # Tiles begin elsewhere; no centre is so far out that its Jacobian would depend on the window.
    torch.testing.assert_close(part.features, whole.features[:, 2:, 1:], rtol=1e-4, atol=1e-4)


def test_gradients_from_the_image_to_the_gaussians_are_those_of_finite_differences() -> None:
    gaussians = trainable(cloud(10, spread=0.4, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(10, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    background = torch.randn(2, generator=generator, dtype=torch.float64, requires_grad=True)

    def function(*inputs: Tensor) -> tuple[Tensor, ...]:
        *parameters, features, background = inputs
        image = draw(Gaussians(*parameters), features, background, crooked_camera(8, 6))
        return image.features, image.opacity, image.depth

    inputs = (*tensors(gaussians), features, background)
    assert torch.autograd.gradcheck(function, inputs, eps=1e-7, atol=1e-3, fast_mode=True)


def test_kernels_and_twins_agree_from_gaussians_to_gradients() -> None:
    results = []
    for dtype in (torch.float32, torch.float64):
        gaussians = trainable(cloud(300, dtype=dtype))
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(300, 16, generator=generator).to(dtype).requires_grad_()
        background = torch.randn(16, generator=generator).to(dtype).requires_grad_()
        image = draw(gaussians, features, background, crooked_camera())
        target = torch.randn(16, 17, 22, generator=generator).to(dtype)
        loss = (
            (image.features - target).square().mean()
            + (image.depth - 2).square().mean()
            + image.opacity.mean()
        )
        loss.backward()
        assert features.grad is not None
        assert background.grad is not None
        found = [image.features.detach(), *gradients(gaussians), features.grad, background.grad]
        results.append([tensor.double() for tensor in found])
    for value, twin in zip(*results, strict=True):
        assert float((value - twin).norm() / twin.norm()) < 2e-5


@dtypes
def test_the_gradients_of_projected_centres_can_be_kept(dtype: torch.dtype) -> None:
    """Densification needs them."""
    gaussians, camera = trainable(cloud(40, dtype=dtype)), crooked_camera().to(dtype)
    projected = project(gaussians, camera, near=0.2, blur=0.3, antialiased=False)
    projected.means_2d.retain_grad()
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).to(dtype)
    image = rasterise(projected, features, torch.zeros(3, dtype=dtype), camera, far=FAR)
    image.features.square().sum().backward()
    slopes = projected.means_2d.grad
    assert slopes is not None
    assert not slopes[projected.radii == 0].any()
    assert slopes[projected.radii > 0].any(dim=1).float().mean() > 0.8
    assert gradients(gaussians, "means")[0].any()


@dtypes
def test_a_ball_is_pulled_towards_where_it_is_wanted(dtype: torch.dtype) -> None:
    camera = straight_camera(size=33, focal=40.0)
    gaussian = trainable(balls(depths=[4.0], opacities=[0.8], dtype=dtype))
    image = draw(gaussian, torch.ones(1, 1, dtype=dtype), torch.zeros(1, dtype=dtype), camera)
    image.features[0, 16, 18:].sum().backward()
    x, y, _ = gradients(gaussian, "means")[0][0].tolist()
    assert x > 0
    assert y == pytest.approx(0.0, abs=1e-5 * x)
    # The slope in m of the sum of 0.8 exp(-(i - m)^2 / 2v) over pixels i right of the centre; 10 pixels per unit.
    variance = 25.3
    pixels = [i for i in range(2, 17) if 0.8 * math.exp(-(i**2) / (2 * variance)) >= 1 / 255]
    slope = sum(0.8 * math.exp(-(i**2) / (2 * variance)) * i / variance for i in pixels)
    assert x == pytest.approx(10 * slope, rel=1e-4)
