"""The 3D smoothing filter: sampling rates of cameras of known distance, and convolutions of known Gaussians."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from latentfields.cameras import Cameras, look_at
from latentfields.rendering.splatting.gaussians import Gaussians, rotation_matrices
from latentfields.rendering.splatting.projection import project
from latentfields.rendering.splatting.smoothing import filter_variances, sampling_rates, smoothed

NEAR = 0.1


def cameras(*distances: float, focal: float = 50.0) -> Cameras:
    """Cameras of 40 x 40 pixels on the z axis, so far above the origin, looking down."""
    eye = torch.tensor([[0.0, 0.0, distance] for distance in distances])
    return Cameras(
        camera_to_world=look_at(eye, torch.zeros(3), torch.tensor([0.0, 1.0, 0.0])),
        focal=torch.tensor([[focal, 0.9 * focal]]).expand(len(distances), 2),
        principal=torch.full((len(distances), 2), 20.0),
        width=40,
        height=40,
    )


def ball(scale: float, *, opacity: float = 0.8) -> Gaussians:
    return Gaussians(
        means=torch.zeros(1, 3),
        rotations=torch.tensor([[1.0, 0.0, 0.0, 0.0]]),
        scales=torch.full((1, 3), scale),
        opacities=torch.tensor([opacity]),
    )


def test_the_rate_is_the_focal_length_over_the_distance_of_the_nearest_view_that_sees_a_point() -> None:
    points = torch.tensor(
        [
            [0.0, 0.0, 0.0],  # Both see it; the nearer one is at distance 2.
            [0.0, 0.0, 1.0],
            [0.6, 0.0, 0.0],  # 15 pixels from the middle of the nearer view.
            [1.2, 0.0, 0.0],  # 30 pixels from it, outside; 15 pixels from the middle of the farther one.
            [0.0, 0.0, 2.5],  # Behind the nearer camera.
            [0.0, 0.0, 1.95],  # Before the near plane of the nearer one.
        ]
    )
    rates = sampling_rates(points, cameras(2.0, 4.0), near=NEAR)
    torch.testing.assert_close(rates, 50 / torch.tensor([2.0, 1.0, 2.0, 4.0, 1.5, 2.05]))


def test_what_no_view_sees_has_the_smallest_rate_of_what_views_see() -> None:
    points = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -2.0], [9.0, 0.0, 0.0]])
    rates = sampling_rates(points, cameras(2.0), near=NEAR)
    torch.testing.assert_close(rates, torch.tensor([25.0, 12.5, 12.5]))
    nothing = sampling_rates(points[2:], cameras(2.0), near=NEAR)
    assert nothing.tolist() == [0.0]
    assert filter_variances(nothing, smoothing=0.2).tolist() == [0.0]
    assert sampling_rates(points[:0], cameras(2.0), near=NEAR).shape == (0,)


def test_the_filter_is_a_share_of_the_sampling_interval_squared() -> None:
    # Samples are 2 / 50 = 0.04 apart.
    rates = sampling_rates(torch.zeros(1, 3), cameras(2.0), near=NEAR)
    torch.testing.assert_close(filter_variances(rates, smoothing=0.2), torch.tensor([0.2 * 0.04**2]))


def covariances(gaussians: Gaussians) -> Tensor:
    axes = rotation_matrices(gaussians.rotations) * gaussians.scales[:, None]
    return axes @ axes.transpose(1, 2)


def test_smoothing_is_a_convolution_that_keeps_the_integral() -> None:
    torch.manual_seed(0)
    gaussians = Gaussians(
        torch.randn(5, 3), torch.randn(5, 4).double(), torch.rand(5, 3).double() + 0.1, torch.rand(5).double()
    )
    variances = torch.rand(5).double()
    out = smoothed(gaussians, variances)
    before, after = covariances(gaussians), covariances(out)
    torch.testing.assert_close(after, before + variances[:, None, None] * torch.eye(3).double())
    # A Gaussian's integral is in proportion to its height times the root of the determinant.
    torch.testing.assert_close(
        out.opacities * torch.linalg.det(after).sqrt(),
        gaussians.opacities * torch.linalg.det(before).sqrt(),
    )
    assert out.means is gaussians.means
    same = smoothed(gaussians, torch.zeros(5).double())
    torch.testing.assert_close(same.scales, gaussians.scales)
    torch.testing.assert_close(same.opacities, gaussians.opacities)


def test_gradients_of_smoothing_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    means, rotations = torch.randn(3, 3).double(), torch.randn(3, 4).double()
    variances = torch.rand(3).double()

    def shapes(scales: Tensor, opacities: Tensor) -> tuple[Tensor, Tensor]:
        out = smoothed(Gaussians(means, rotations, scales, opacities), variances)
        return out.scales, out.opacities

    inputs = ((torch.rand(3, 3) + 0.1).double().requires_grad_(), torch.rand(3).double().requires_grad_())
    assert torch.autograd.gradcheck(shapes, inputs)


@pytest.mark.parametrize("blur", [0.1, 0.5])
def test_the_mip_filter_keeps_the_integral_of_what_is_splatted(blur: float) -> None:
    """The 2D Mip filter: opacity times the root of the 2D covariance's determinant is that before the blur."""
    gaussians, camera = ball(0.02), cameras(2.0)
    out = project(gaussians, camera, near=NEAR, blur=blur, antialiased=True)
    xx, xy, yy = out.conics[0].tolist()
    width, height = 0.02 * 50 / 2, 0.02 * 45 / 2
    assert 1 / (xx * yy - xy**2) == pytest.approx((width**2 + blur) * (height**2 + blur), rel=1e-4)
    share = width * height / math.sqrt((width**2 + blur) * (height**2 + blur))
    assert float(out.opacities) == pytest.approx(0.8 * share, rel=1e-4)


def test_from_afar_a_filtered_gaussian_fades_and_a_dilated_one_grows() -> None:
    """Mip-Splatting's point: what covers a hundredth of a pixel gives a hundredth of its light."""
    gaussians = ball(0.01)
    for distance in (8.0, 16.0):
        camera = cameras(distance)
        dilated = project(gaussians, camera, near=NEAR, blur=0.3, antialiased=False)
        filtered = project(gaussians, camera, near=NEAR, blur=0.1, antialiased=True)
        area = (0.01 / distance) ** 2 * 50 * 45
        assert float(filtered.opacities) == pytest.approx(0.8 * area / 0.1, rel=0.05)
        assert float(dilated.opacities) == pytest.approx(0.8)
