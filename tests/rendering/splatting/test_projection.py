"""The projection against cameras, matrices and closed forms, and on warp against its twin."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.splatting_scenes import cloud, crooked_camera, gradients, straight_camera, tensors, trainable
from latentfields.cameras import Cameras
from latentfields.rendering.kernels.backend import kernel_backend
from latentfields.rendering.splatting.constants import ALPHA_CUT
from latentfields.rendering.splatting.gaussians import Gaussians, rotation_matrices
from latentfields.rendering.splatting.projection import (
    ProjectedGaussians,
    project,
    project_reference,
)

needs_warp = pytest.mark.skipif(kernel_backend() != "warp", reason="warp is not installed")
both = pytest.mark.parametrize("projection", [project, project_reference])

NEAR, BLUR = 0.2, 0.3


def one(mean: tuple[float, float, float], *, scale: float = 0.1, opacity: float = 0.8) -> Gaussians:
    """An isotropic Gaussian."""
    return Gaussians(
        torch.tensor([mean]),
        torch.tensor([[1.0, 0, 0, 0]]),
        torch.full((1, 3), scale),
        torch.tensor([opacity]),
    )


def seen(
    projection: object, gaussians: Gaussians, camera: Cameras, antialiased: bool = False
) -> ProjectedGaussians:
    assert callable(projection)
    out = projection(gaussians, camera, near=NEAR, blur=BLUR, antialiased=antialiased)
    assert isinstance(out, ProjectedGaussians)
    return out


def covariance_by_matrices(gaussians: Gaussians, camera: Cameras, index: int) -> Tensor:
    """J W R S S^T R^T W^T J^T + blur I of one Gaussian, matrix by matrix; the Jacobian by differentiation."""
    world_to_camera = torch.linalg.inv(camera.camera_to_world[0].double())
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    w = flip @ world_to_camera[:3, :3]
    at = w @ gaussians.means[index].double() + flip @ world_to_camera[:3, 3]
    (fx, fy), (cx, cy) = camera.focal[0].double(), camera.principal[0].double()
    # The point that the Jacobian is taken at: no farther out than 0.3 half images beside the image.
    slopes = []
    for value, focal, centre, size in ((at[0], fx, cx, camera.width), (at[1], fy, cy, camera.height)):
        pixel = float(focal * value / at[2] + centre)
        slopes.append((min(max(pixel, -0.15 * size), 1.15 * size) - centre) / focal)
    point = torch.stack([slopes[0] * at[2], slopes[1] * at[2], at[2]])
    jacobian = torch.autograd.functional.jacobian(
        lambda p: torch.stack([fx * p[0] / p[2], fy * p[1] / p[2]]), point
    )
    assert isinstance(jacobian, Tensor)
    rotation = rotation_matrices(gaussians.rotations[index : index + 1].double())[0]
    root = jacobian @ w @ rotation @ torch.diag(gaussians.scales[index].double())
    matrix: Tensor = root @ root.T + BLUR * torch.eye(2, dtype=torch.float64)
    return matrix


def alpha_at(projected: ProjectedGaussians, index: int, offset: Tensor) -> Tensor:
    """Alpha (P,) at offsets (P, 2) from the centre."""
    xx, xy, yy = projected.conics[index].double()
    dx, dy = offset.double().unbind(-1)
    return projected.opacities[index].double() * torch.exp(-0.5 * (xx * dx**2 + yy * dy**2) - xy * dx * dy)


@both
def test_centres_and_depths_are_those_of_the_camera(projection: object) -> None:
    gaussians, camera = cloud(200), crooked_camera()
    projected = seen(projection, gaussians, camera)
    visible = projected.radii > 0
    assert 100 < int(visible.sum()) < 200
    pixels, depths = camera.project(gaussians.means)
    torch.testing.assert_close(projected.means_2d[visible], pixels[0][visible], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(projected.depths, depths[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(projected.opacities[visible], gaussians.opacities[visible])


@both
def test_conics_invert_the_covariance_that_matrices_give(projection: object) -> None:
    gaussians, camera = cloud(60, spread=1.0), crooked_camera()
    projected = seen(projection, gaussians, camera)
    visible = projected.radii.nonzero()[:, 0].tolist()
    assert len(visible) > 20
    for index in visible:
        xx, xy, yy = projected.conics[index].double()
        inverse = torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])])
        product = inverse @ covariance_by_matrices(gaussians, camera, index)
        torch.testing.assert_close(product, torch.eye(2, dtype=torch.float64), rtol=1e-3, atol=1e-3)


@both
def test_a_ball_on_the_axis_is_a_disc(projection: object) -> None:
    camera = straight_camera(size=32, focal=40.0)
    projected = seen(projection, one((0.0, 0.0, -4.0), scale=0.5), camera)
    variance = (40 * 0.5 / 4) ** 2 + BLUR
    expected = torch.tensor([[1 / variance, 0.0, 1 / variance]])
    torch.testing.assert_close(projected.conics, expected)
    torch.testing.assert_close(projected.means_2d, torch.tensor([[16.0, 16.0]]))
    reach = math.sqrt(variance * 2 * math.log(0.8 * 255))
    torch.testing.assert_close(projected.extents, torch.full((1, 2), reach))
    assert projected.radii.tolist() == [math.ceil(reach)]


@both
def test_a_ball_beside_the_axis_is_an_ellipse(projection: object) -> None:
    camera = straight_camera(size=32, focal=40.0)
    projected = seen(projection, one((1.0, 0.0, -4.0), scale=0.5), camera)
    # The Jacobian at slope 1/4 has the rows f/z (1, 0, -1/4) and f/z (0, 1, 0).
    across, along = 25 * (1 + 1 / 16) + BLUR, 25 + BLUR
    torch.testing.assert_close(projected.conics, torch.tensor([[1 / across, 0.0, 1 / along]]))
    torch.testing.assert_close(projected.means_2d, torch.tensor([[26.0, 16.0]]))


@both
def test_y_up_in_the_scene_is_up_in_the_image(projection: object) -> None:
    camera = straight_camera(size=32, focal=40.0)
    projected = seen(projection, one((0.0, 1.0, -4.0)), camera)
    torch.testing.assert_close(projected.means_2d, torch.tensor([[16.0, 6.0]]))


@both
@pytest.mark.parametrize(
    ("what", "gaussian"),
    [
        ("behind the camera", one((0.0, 0.0, 4.0))),
        ("at the camera", one((0.0, 0.0, 0.0))),
        ("too near", one((0.0, 0.0, -0.19))),
        ("beside the image", one((6.0, 0.0, -4.0))),
        ("over the image", one((0.0, 6.0, -4.0))),
        ("too transparent", one((0.0, 0.0, -4.0), opacity=0.0039)),
        ("without opacity", one((0.0, 0.0, -4.0), opacity=0.0)),
        ("infinitely large", one((0.0, 0.0, -4.0), scale=1e30)),
    ],
)
def test_what_is_not_seen_has_no_radius(projection: object, what: str, gaussian: Gaussians) -> None:
    assert seen(projection, gaussian, straight_camera(size=32, focal=40.0)).radii.tolist() == [0], what


@both
def test_what_reaches_into_the_image_from_outside_is_seen(projection: object) -> None:
    camera = straight_camera(size=32, focal=40.0)
    assert int(seen(projection, one((1.7, 0.0, -4.0), scale=0.01), camera).radii) > 0
    assert int(seen(projection, one((0.0, 0.0, -0.21)), camera).radii) > 0


@both
@pytest.mark.parametrize("antialiased", [False, True])
def test_beyond_extents_and_radius_alpha_is_under_the_cut(projection: object, antialiased: bool) -> None:
    projected = seen(projection, cloud(100), crooked_camera(), antialiased)
    angle = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)
    for index in projected.radii.nonzero()[:, 0].tolist():
        round_about = torch.stack([angle.cos(), angle.sin()], dim=-1)
        assert (
            float(alpha_at(projected, index, projected.radii[index] * round_about).max()) < ALPHA_CUT * 1.001
        )
        # Along the ellipse of alpha = cut, the largest coordinates are the extents.
        xx, xy, yy = projected.conics[index].double()
        form = xx * round_about[:, 0] ** 2 + yy * round_about[:, 1] ** 2 + 2 * xy * round_about.prod(dim=1)
        level = 2 * torch.log(projected.opacities[index].double() / ALPHA_CUT)
        ellipse = round_about * (level / form).sqrt()[:, None]
        torch.testing.assert_close(
            ellipse.amax(dim=0), projected.extents[index].double(), rtol=1e-3, atol=1e-3
        )


@both
def test_antialiasing_keeps_what_a_gaussian_covers(projection: object) -> None:
    gaussians, camera = cloud(100), crooked_camera()
    plain, kept = seen(projection, gaussians, camera), seen(projection, gaussians, camera, True)
    visible = (kept.radii > 0).nonzero()[:, 0].tolist()
    assert visible
    for index in visible:
        blurred = covariance_by_matrices(gaussians, camera, index)
        sharp = torch.linalg.det(blurred - BLUR * torch.eye(2, dtype=torch.float64))
        # The volume under a Gaussian is 2 pi times its height times the root of its determinant.
        volume = float(gaussians.opacities[index]) * math.sqrt(float(sharp))
        assert float(kept.opacities[index]) * math.sqrt(float(torch.linalg.det(blurred))) == pytest.approx(
            volume, rel=1e-3
        )
    torch.testing.assert_close(plain.conics, kept.conics)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31 - 1))
def test_rotation_matrices_are_rotations_and_follow_the_quaternions(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(2, 4, generator=generator, dtype=torch.float64)
    matrices = rotation_matrices(q)
    eye = torch.eye(3, dtype=torch.float64).expand(2, 3, 3)
    torch.testing.assert_close(matrices @ matrices.mT, eye)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(rotation_matrices(-3.0 * q), matrices)
    (a, *b), (c, *d) = q.tolist()
    u, v = torch.tensor(b, dtype=torch.float64), torch.tensor(d, dtype=torch.float64)
    product = torch.cat([(a * c - u @ v)[None], a * v + c * u + torch.linalg.cross(u, v)])
    torch.testing.assert_close(rotation_matrices(product[None])[0], matrices[0] @ matrices[1])


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    half = math.sqrt(0.5)
    (matrix,) = rotation_matrices(torch.tensor([[half, 0.0, 0.0, half]]))
    torch.testing.assert_close(matrix @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


@pytest.mark.parametrize("antialiased", [False, True])
def test_the_twins_gradients_are_those_of_finite_differences(antialiased: bool) -> None:
    gaussians, camera = cloud(12, dtype=torch.float64), crooked_camera().to(torch.float64)
    visible = seen(project_reference, gaussians, camera, antialiased).radii > 0
    assert int(visible.sum()) >= 6

    def outputs(*parameters: Tensor) -> tuple[Tensor, ...]:
        projected = seen(project_reference, Gaussians(*parameters), camera, antialiased)
        return tuple(t[visible] for t in tensors(projected, "means_2d", "conics", "depths", "opacities"))

    assert torch.autograd.gradcheck(outputs, tuple(tensors(trainable(gaussians))))


@needs_warp
@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("count", [1, 700, 9000])
def test_on_warp_values_and_gradients_are_the_twins(count: int, antialiased: bool) -> None:
    # Wide enough that some centres are past the margin where the Jacobian stays.
    start, camera = cloud(count, spread=1.2 if count > 1 else 0.1), crooked_camera()
    generator = torch.Generator().manual_seed(count)
    weights = [torch.randn(count, *shape, generator=generator) for shape in ((2,), (3,), (), ())]
    results = []
    for projection in (project, project_reference):
        gaussians = trainable(start)
        projected = seen(projection, gaussians, camera, antialiased)
        visible = projected.radii > 0
        outputs = tensors(projected, "means_2d", "conics", "depths", "opacities")
        pairs = zip(outputs, weights, strict=True)
        torch.stack([(w[visible] * o[visible]).sum() for o, w in pairs]).sum().backward()
        drawn = [t[visible].detach() for t in (*outputs, projected.extents, projected.radii)]
        results.append((visible, drawn, gradients(gaussians)))
    (visible, drawn, slopes), (visible_2, drawn_2, slopes_2) = results
    assert torch.equal(visible, visible_2)
    for value, twin in zip(drawn[:-1], drawn_2[:-1], strict=True):
        torch.testing.assert_close(value, twin, rtol=1e-4, atol=1e-4)
    # Rounding up may go either way where a radius is nearly whole.
    assert int((drawn[-1] - drawn_2[-1]).abs().max()) <= 1
    for value, twin in zip(slopes, slopes_2, strict=True):
        torch.testing.assert_close(value, twin, rtol=2e-3, atol=2e-4 * float(twin.abs().max()))


@both
def test_depths_of_the_unseen_have_their_gradient(projection: object) -> None:
    gaussians = trainable(one((0.0, 0.0, 4.0)))
    seen(projection, gaussians, straight_camera(size=32, focal=40.0)).depths.sum().backward()
    assert gradients(gaussians, "means")[0].tolist() == [[0.0, 0.0, -1.0]]


@both
@pytest.mark.parametrize("antialiased", [False, True])
def test_degenerate_gaussians_leave_all_gradients_finite(projection: object, antialiased: bool) -> None:
    start = cloud(9, spread=0.1)
    start.scales[0] = 0.0
    start.scales[1] = torch.tensor([1e-30, 1.0, 1e-30])
    start.scales[2] = torch.tensor([1e6, 1e-6, 1e6])
    start.scales[3] = 1e25
    start.rotations[4] = 0.0
    start.rotations[5] *= 1e-8
    start.means[6] = crooked_camera().centers[0]
    start.opacities[7] = 0.0
    start.opacities[8] = 1.0
    gaussians = trainable(start)
    projected = seen(projection, gaussians, crooked_camera(), antialiased)
    visible = projected.radii > 0
    assert visible[[2, 8]].all()
    assert not visible[[3, 6, 7]].any()
    outputs = tensors(projected, "means_2d", "conics", "depths", "opacities")
    assert all(torch.isfinite(output[visible]).all() for output in outputs)
    torch.stack([output[visible].sum() for output in outputs]).sum().backward()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(gaussians))


@both
def test_no_gaussians_are_a_result_too(projection: object) -> None:
    projected = seen(projection, cloud(0), crooked_camera())
    shapes = [(0, 2), (0, 3), (0,), (0,), (0, 2), (0,)]
    assert [tuple(tensor.shape) for tensor in tensors(projected)] == shapes


@both
def test_extents_and_radii_take_no_gradient(projection: object) -> None:
    projected = seen(projection, trainable(cloud(5)), crooked_camera())
    taking = {f.name for f in dataclasses.fields(projected) if getattr(projected, f.name).requires_grad}
    assert taking == {"means_2d", "conics", "depths", "opacities"}


def test_strided_gaussians_are_read_as_they_are() -> None:
    gaussians = cloud(30)
    strided = Gaussians(*(torch.stack([t, t + 1], dim=-1)[..., 0] for t in tensors(gaussians)))
    assert not strided.means.is_contiguous()
    for value, expected in zip(
        tensors(seen(project, strided, crooked_camera())),
        tensors(seen(project, gaussians, crooked_camera())),
        strict=True,
    ):
        assert torch.equal(value, expected)
