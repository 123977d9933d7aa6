"""Splatting of 10 000 Gaussians with 16 channels to 64 x 64 pixels: its kernels, and a step of four images.

The Gaussians fill a ball that fills the image, as large as their distances, half transparent on average. A step is
projection and compositing, forward and backward, without an optimiser.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor

from benchmarks.measure import Case
from latentfields.cameras import Cameras, look_at
from latentfields.rendering.splatting.compositing import composite, composite_reference
from latentfields.rendering.splatting.gaussians import Gaussians
from latentfields.rendering.splatting.projection import ProjectedGaussians, project, project_reference
from latentfields.rendering.splatting.rasterise import rasterise

GAUSSIANS, CHANNELS, SIZE, IMAGES = 10_000, 16, 64, 4
FAR = 6.0

Projection = Callable[..., ProjectedGaussians]


def splatting_cases() -> list[Case]:
    """The kernels alone for one image, then a step."""
    gaussians, features, cameras = (
        _gaussians(),
        torch.randn(GAUSSIANS, CHANNELS, requires_grad=True),
        _cameras(),
    )
    fast_step, plain_step = (_step(gaussians, features, cameras, p) for p in (project, project_reference))
    return [
        Case(
            "Gaussian projection, 10 000",
            _projection(gaussians, cameras[:1], project),
            _projection(gaussians, cameras[:1], project_reference),
            None,
        ),
        Case(
            "Gaussian compositing, 10 000 to 64^2 x 16",
            _compositing(gaussians, features, cameras[:1], composite),
            _compositing(gaussians, features, cameras[:1], composite_reference),
            10.0,
        ),
        Case("Gaussian step, 10 000 to four of 64^2 x 16", fast_step, _plain(plain_step), 10.0),
    ]


def _gaussians() -> Gaussians:
    directions = torch.nn.functional.normalize(torch.randn(GAUSSIANS, 3), dim=-1)
    means = directions * torch.rand(GAUSSIANS, 1) ** (1 / 3)
    spacing = (4 / 3 * torch.pi / GAUSSIANS) ** (1 / 3)
    scales = spacing * torch.exp(0.4 * torch.randn(GAUSSIANS, 3))
    opacities = 0.1 + 0.6 * torch.rand(GAUSSIANS)
    return Gaussians(*(t.requires_grad_() for t in (means, torch.randn(GAUSSIANS, 4), scales, opacities)))


def _cameras() -> Cameras:
    eyes = torch.tensor([[0.0, -3.0, 0.5], [3.0, 0.0, 0.5], [0.0, 3.0, -0.5], [-2.0, 2.0, 1.0]])
    poses = look_at(eyes, torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    return Cameras(poses, torch.full((IMAGES, 2), 1.4 * SIZE), torch.full((IMAGES, 2), SIZE / 2), SIZE, SIZE)


def _project(gaussians: Gaussians, camera: Cameras, projection: Projection) -> ProjectedGaussians:
    return projection(gaussians, camera, near=0.05, blur=0.3, antialiased=False)


def _projection(gaussians: Gaussians, camera: Cameras, projection: Projection) -> Callable[[], None]:
    def run() -> None:
        projected = _project(gaussians, camera, projection)
        torch.autograd.backward(
            [projected.means_2d.sum() + projected.conics.sum() + projected.opacities.sum()]
        )

    return run


def _compositing(
    gaussians: Gaussians, features: Tensor, camera: Cameras, function: Callable[..., tuple[Tensor, Tensor]]
) -> Callable[[], None]:
    projected = _project(gaussians, camera, project)
    names = ("means_2d", "conics", "opacities")
    leaves = {name: getattr(projected, name).detach().requires_grad_() for name in names}
    projected = dataclasses.replace(projected, **leaves)
    gradient = torch.randn(CHANNELS, SIZE, SIZE)

    def run() -> None:
        summed, _ = function(projected, features, width=SIZE, height=SIZE)
        summed.backward(gradient)

    return run


def _step(
    gaussians: Gaussians, features: Tensor, cameras: Cameras, projection: Projection
) -> Callable[[], None]:
    background, gradient = torch.zeros(CHANNELS), torch.randn(1, CHANNELS, SIZE, SIZE)

    def run() -> None:
        for index in range(IMAGES):
            camera = cameras[index : index + 1]
            projected = _project(gaussians, camera, projection)
            rasterise(projected, features, background, camera, far=FAR).features.backward(gradient)

    return run


def _plain(run: Callable[[], None]) -> Callable[[], None]:
    """The same with the compositing's twin."""

    def plain() -> None:
        with mock.patch("latentfields.rendering.splatting.rasterise.composite", composite_reference):
            run()

    return plain
