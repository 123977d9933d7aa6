"""Perspective projection of Gaussians to the image plane, linearised at their centres (EWA: Zwicker et al. 2001).

A Gaussian of covariance Sigma becomes a 2D Gaussian of covariance J W Sigma W^T J^T + blur I (LRF, Eq. 3), with W the
rotation into the camera and J the Jacobian of the perspective projection at the centre.

`project` runs on warp; `project_reference` is the same function in plain PyTorch.

Shape suffixes: N Gaussians.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.devices import like
from latentfields.rendering.kernels.backend import launch, points_per_thread, runs_on_warp
from latentfields.rendering.splatting.constants import (
    ALPHA_CUT,
    FRUSTUM_MARGIN,
    LEAST_COMPENSATION,
    WIDEST,
)
from latentfields.rendering.splatting.gaussians import Gaussians, rotation_matrices


@dataclass(frozen=True)
class ProjectedGaussians:
    """N Gaussians as one camera sees them. All but the depths is meaningful only where the radius is not 0."""

    means_2d: Tensor
    """(N, 2) centres (column, row) in pixels; pixel (i, j) has its own at (i + 0.5, j + 0.5)."""
    conics: Tensor
    """(N, 3) entries xx, xy, yy of the inverse of the 2D covariance, in 1/pixels^2."""
    depths: Tensor
    """(N,) of the centres along the viewing axis, positive in front."""
    opacities: Tensor
    """(N,) in [0, 1]; compensated for the blur when antialiased."""
    extents: Tensor
    """(N, 2) half the width and height, in pixels, of the box where alpha reaches `ALPHA_CUT`; no gradient."""
    radii: Tensor
    """(N,) int32 pixels around the centre beyond which alpha is under `ALPHA_CUT`; 0 where nothing is in the image."""


def project(
    gaussians: Gaussians, camera: Cameras, *, near: float, blur: float, antialiased: bool
) -> ProjectedGaussians:
    """`project_reference`, several times faster with warp; the reference itself where the camera asks for gradients."""
    assert len(camera) == 1, len(camera)
    assert near > 0, near
    assert blur > 0, blur
    parameters = (gaussians.means, gaussians.rotations, gaussians.scales, gaussians.opacities)
    if camera.requires_grad or not runs_on_warp(*parameters) or len(gaussians) == 0:
        return project_reference(gaussians, camera, near=near, blur=blur, antialiased=antialiased)
    view = _view(camera, near=near, blur=blur, antialiased=antialiased)
    return ProjectedGaussians(*_Project.apply(*parameters, view))  # type: ignore[no-untyped-call]


def project_reference(
    gaussians: Gaussians, camera: Cameras, *, near: float, blur: float, antialiased: bool
) -> ProjectedGaussians:
    """Project to one camera, a `Cameras` of length 1.

    Centres nearer than `near` > 0 along the viewing axis are not visible. `blur` > 0 is the variance, in pixels^2,
    that is added so that no Gaussian falls between pixels (3DGS: 0.3); `antialiased` makes up for it in the opacity,
    so that distant Gaussians do not grow (Yu et al. 2024, Mip-Splatting, Sec. 4.2).
    """
    (fx, fy), (cx, cy) = camera.focal[0], camera.principal[0]
    x, y, depths = ((gaussians.means - camera.centers[0]) @ _axes(camera).T).unbind(-1)
    # Infinite values and slopes of what cannot be drawn would spoil all gradients: zero times infinity is not zero.
    in_front = depths >= near
    depth = torch.where(in_front, depths, torch.ones_like(depths))
    means_2d = torch.stack([fx * x / depth + cx, fy * y / depth + cy], dim=-1)
    roots = _covariance_roots(gaussians, camera, x / depth, y / depth, depth)
    drawn = in_front & (roots.detach().abs().amax(dim=(1, 2)) < WIDEST)
    along_x, along_y = torch.where(drawn[:, None, None], roots, torch.zeros_like(roots)).unbind(1)

    xx, xy, yy = (along_x * along_x).sum(-1), (along_x * along_y).sum(-1), (along_y * along_y).sum(-1)
    sharp = torch.linalg.cross(along_x, along_y).square().sum(dim=-1)
    # The determinant with the blur: all terms are positive, unlike those of (xx + blur)(yy + blur) - xy^2.
    determinant = sharp + blur * (xx + yy) + blur**2
    conics = torch.stack([yy + blur, -xy, xx + blur], dim=-1) / determinant[:, None]
    opacities = gaussians.opacities
    if antialiased:
        opacities = opacities * (sharp / determinant).clamp(min=LEAST_COMPENSATION**2).sqrt()
    extents, radii = _footprints(xx + blur, xy, yy + blur, opacities)
    seen = drawn & _overlaps(means_2d, extents, camera)
    return ProjectedGaussians(means_2d, conics, depths, opacities, extents, radii * seen)


def moved(projected: ProjectedGaussians, *, left: int, top: int, camera: Cameras) -> ProjectedGaussians:
    """The Gaussians of an image in the part of it that begins at column `left` and row `top`, the image of `camera`.

    They have the shapes that they have in the whole image: projected to `camera` itself, those far outside of the part
    would have the Jacobian of its margin. Gradients go to the centres of the whole image.
    """
    means_2d = projected.means_2d - like([left, top], projected.means_2d)
    seen = _overlaps(means_2d, projected.extents, camera)
    return replace(projected, means_2d=means_2d, radii=projected.radii * seen)


def _axes(camera: Cameras) -> Tensor:
    """(3, 3), a row for each of right, down and forwards in the scene: W."""
    pose = camera.camera_to_world[0]
    return torch.stack([pose[:3, 0], -pose[:3, 1], -pose[:3, 2]])


def _slope_limits(camera: Cameras) -> Tensor:
    """(2, 2): least and largest x / z, and y / z, whose Jacobian a Gaussian may have."""
    size = like([camera.width, camera.height], camera.focal)
    margin = FRUSTUM_MARGIN / 2 * size
    principal = camera.principal[0]
    return torch.stack([-principal - margin, size - principal + margin], dim=-1) / camera.focal[0, :, None]


def _covariance_roots(gaussians: Gaussians, camera: Cameras, u: Tensor, v: Tensor, depth: Tensor) -> Tensor:
    """J W R S (N, 2, 3), whose product with its transpose is the 2D covariance; (u, v) are slopes x / z, y / z."""
    fx, fy = camera.focal[0]
    limits_x, limits_y = _slope_limits(camera)
    u, v, zero = u.clamp(*limits_x), v.clamp(*limits_y), torch.zeros_like(u)
    along_x = torch.stack([fx / depth, zero, -fx * u / depth], dim=-1)
    along_y = torch.stack([zero, fy / depth, -fy * v / depth], dim=-1)
    jacobian = torch.stack([along_x, along_y], dim=1) @ _axes(camera)
    return jacobian @ (rotation_matrices(gaussians.rotations) * gaussians.scales[:, None])


@torch.no_grad()
def _footprints(xx: Tensor, xy: Tensor, yy: Tensor, opacities: Tensor) -> tuple[Tensor, Tensor]:
    """Extents (N, 2) and radii (N,) of where alpha reaches its cut, for the blurred covariances; 0 for nowhere."""
    deviations = (2 * torch.log(opacities / ALPHA_CUT)).clamp(min=0).sqrt()
    extents = deviations[:, None] * torch.stack([xx, yy], dim=-1).sqrt()
    largest = (xx + yy) / 2 + ((xx - yy).square() / 4 + xy.square()).sqrt()
    return extents, (deviations * largest.sqrt()).ceil().to(torch.int32)


@torch.no_grad()
def _overlaps(means_2d: Tensor, extents: Tensor, camera: Cameras) -> Tensor:
    """(N,) whether the box of a Gaussian has a part in the image."""
    size = like([camera.width, camera.height], means_2d)
    return ((means_2d + extents > 0) & (means_2d - extents < size)).all(dim=-1)


def _view(camera: Cameras, *, near: float, blur: float, antialiased: bool) -> Tensor:
    """The camera and the options for the kernels: (25,), in the order of `projection_warp`."""
    pose = [_axes(camera).flatten(), camera.centers[0], camera.focal[0], camera.principal[0]]
    rest = [camera.width, camera.height, near, blur, antialiased]
    return torch.cat([*pose, _slope_limits(camera).flatten(), like(rest, camera.focal)])


class _Project(torch.autograd.Function):
    """The projection on warp."""

    @staticmethod
    def forward(ctx: Any, *arguments: Tensor) -> tuple[Tensor, ...]:
        from latentfields.rendering.splatting.projection_warp import project_kernel

        inputs = [tensor.contiguous() for tensor in arguments]
        means = inputs[0]
        count = len(means)
        shapes = ((count, 2), (count, 3), (count,), (count,), (count, 2))
        outputs = [*(means.new_empty(shape) for shape in shapes), means.new_empty(count, dtype=torch.int32)]
        block = points_per_thread(means)
        launch(project_kernel(), -(-count // block), *inputs, *outputs, count, block)
        ctx.save_for_backward(*inputs, outputs[-1])
        ctx.mark_non_differentiable(*outputs[-2:])
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        from latentfields.rendering.splatting.projection_warp import project_backward_kernel

        *inputs, radii = ctx.saved_tensors
        outputs = [torch.zeros_like(tensor) for tensor in inputs[:4]]
        block = points_per_thread(radii)
        arrays = (*inputs, radii, *(gradient.contiguous() for gradient in gradients[:4]), *outputs)
        launch(project_backward_kernel(), -(-len(radii) // block), *arrays, len(radii), block)
        return *outputs, None
