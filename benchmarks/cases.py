"""What is measured: the kernels alone, and whole training steps at 1024 rays, 64 samples and 16 channels.

A step is forward, backward and optimiser. The twin of every step is the large field with plain-PyTorch kernels and
all 64 samples of a ray; "small" is the field's CPU preset, whose own number of samples is 16; "skipping" leaves out
what a density grid knows to be empty.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest import mock

import torch
from torch import Tensor

from benchmarks.measure import Case
from benchmarks.splatting import splatting_cases
from latentfields.cameras import Rays
from latentfields.fields.config import InstantNgpConfig, TriPlaneConfig
from latentfields.fields.field import Field
from latentfields.fields.instant_ngp import InstantNgp
from latentfields.fields.triplane import TriPlane
from latentfields.rendering.config import GridSamplingConfig
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.intervals import render_intervals
from latentfields.rendering.kernels.hash_encoding import (
    hash_encoding,
    hash_encoding_reference,
    pyramid,
    total_rows,
)
from latentfields.rendering.kernels.mlp import mlp_parts_reference, mlp_reference
from latentfields.rendering.kernels.plane_lookup import plane_lookup, plane_lookup_reference
from latentfields.rendering.kernels.row_gather import scatter_rows, scatter_rows_reference
from latentfields.rendering.renderer import render_rays
from latentfields.rendering.rendering import Shot
from latentfields.rendering.spans import BoxSpan

RAYS, SAMPLES, CHANNELS = 1024, 64, 16
NEAR, FAR = 1.0, 5.0
OBJECT_RADIUS = 0.6
"""Of the ball that is not empty where empty space is skipped: 11 % of the volume."""

LARGE_NGP = InstantNgpConfig(levels=16, log2_table_size=15, coarsest=16, finest=2048, view_dependent=True)
LARGE_TRIPLANE = TriPlaneConfig(resolution=128, hidden=64)


def cases() -> list[Case]:
    """All of them, quick ones first."""
    return [*_kernel_cases(), *splatting_cases(), *_step_cases()]


def _kernel_cases() -> list[Case]:
    points = _points(_rays(), SAMPLES)
    levels = pyramid(levels=16, coarsest=16, finest=2048, table_size=2**15)
    table = torch.randn(total_rows(levels), 2, requires_grad=True)
    planes = torch.randn(3, 128, 128, 32, requires_grad=True)
    index, weight = torch.randint(3 * 128**2, (len(points), 12)), torch.rand(len(points), 12)
    gradient = torch.randn(len(points), 32)

    def backward(encode: Callable[[], Tensor], leaf: Tensor) -> Callable[[], None]:
        def run() -> None:
            leaf.grad = None
            out = encode()
            out.backward(torch.ones_like(out))

        return run

    return [
        Case(
            "hash encoding, 16 levels of 2^15 rows",
            backward(lambda: hash_encoding(table, points, levels), table),
            backward(lambda: hash_encoding_reference(table, points, levels), table),
            None,
        ),
        Case(
            "plane lookup, 3 x 128^2 x 32",
            backward(lambda: plane_lookup(planes, points), planes),
            backward(lambda: plane_lookup_reference(planes, points), planes),
            None,
        ),
        Case(
            "row scatter, 12 of 32 channels",
            lambda: _discard(scatter_rows(gradient, index, weight, rows=3 * 128**2)),
            lambda: _discard(scatter_rows_reference(gradient, index, weight, rows=3 * 128**2)),
            None,
        ),
    ]


def _step_cases() -> list[Case]:
    rays = _rays()
    plain_ngp = _plain(_step(_ngp(LARGE_NGP), rays))
    plain_planes = _plain(_step(_triplane(LARGE_TRIPLANE), rays))
    small_ngp, small_planes = _ngp(InstantNgpConfig()), _triplane(TriPlaneConfig())
    small, same = GridSamplingConfig(), replace(GridSamplingConfig(), samples=SAMPLES)
    return [
        Case("Instant-NGP step", _step(_ngp(LARGE_NGP), rays), plain_ngp, 4.0),
        Case("Instant-NGP step, small, skipping", _skipping_step(small_ngp, rays, same), plain_ngp, None),
        Case(
            "Instant-NGP step, small, skipping, 16 samples",
            _skipping_step(small_ngp, rays, small),
            plain_ngp,
            10.0,
        ),
        Case("Tri-Plane step", _step(_triplane(LARGE_TRIPLANE), rays), plain_planes, 1.8),
        Case("Tri-Plane step, small, skipping", _skipping_step(small_planes, rays, same), plain_planes, None),
        Case(
            "Tri-Plane step, small, skipping, 16 samples",
            _skipping_step(small_planes, rays, small),
            plain_planes,
            5.0,
        ),
    ]


def _ngp(config: InstantNgpConfig) -> Field:
    return InstantNgp(config, channels=CHANNELS, head="linear")


def _triplane(config: TriPlaneConfig) -> Field:
    return TriPlane(config, channels=CHANNELS, head="linear")


def _rays() -> Rays:
    """Rays from all around towards the box, as a camera sees an object that fills its picture."""
    origins = 3.0 * torch.nn.functional.normalize(torch.randn(RAYS, 3), dim=-1)
    targets = 1.4 * torch.rand(RAYS, 3) - 0.7
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    return Rays(origins, directions)


def _points(rays: Rays, samples: int) -> Tensor:
    """Points (R S, 3) evenly along the rays, inside the box for the most part."""
    distances = torch.linspace(2.0, 4.0, samples)
    return (rays.origins[:, None] + rays.directions[:, None] * distances[:, None]).reshape(-1, 3)


def _step(field: Field, rays: Rays) -> Callable[[], None]:
    """Forward, backward and optimiser with every sample looked at."""
    edges = torch.linspace(0.0, 1.0, SAMPLES + 1).expand(RAYS, -1)
    span = BoxSpan(rays, torch.full((RAYS,), 2.0), torch.full((RAYS,), 4.0))
    shot = Shot(rays, torch.zeros(CHANNELS), near=NEAR, far=FAR)
    return _training(field, lambda: render_intervals(field, shot, span, edges)[0].features)


def _skipping_step(field: Field, rays: Rays, options: GridSamplingConfig) -> Callable[[], None]:
    """The same through a density grid that is dense in a ball."""
    grid = DensityGrid(resolution=options.grid_resolution)
    axis = (torch.arange(options.grid_resolution) + 0.5) * (2 / options.grid_resolution) - 1
    grid.restrict(torch.cartesian_prod(axis, axis, axis).norm(dim=-1) < OBJECT_RADIUS)
    generator = torch.Generator().manual_seed(0)
    shot = Shot(rays, torch.zeros(CHANNELS), near=NEAR, far=FAR, generator=generator)
    return _training(field, lambda: render_rays(field, shot, grid, options=options).features)


def _training(field: Field, render: Callable[[], Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(
        field.parameter_groups(learning_rate_factor=1.0), betas=(0.9, 0.99), eps=1e-15, fused=True
    )
    target = torch.randn(RAYS, CHANNELS)

    def run() -> None:
        optimizer.zero_grad()
        loss = (render() - target).square().mean() + field.regularisation()
        loss.backward()
        optimizer.step()

    return run


def _plain(run: Callable[[], None]) -> Callable[[], None]:
    """The same with the twins of the kernels."""

    def plain() -> None:
        with _twins():
            run()

    return plain


@contextlib.contextmanager
def _twins() -> Iterator[None]:
    with (
        mock.patch("latentfields.fields.instant_ngp.hash_encoding", hash_encoding_reference),
        mock.patch("latentfields.fields.instant_ngp.mlp", mlp_reference),
        mock.patch("latentfields.fields.triplane.plane_lookup", plane_lookup_reference),
        mock.patch("latentfields.fields.triplane.mlp", mlp_reference),
        mock.patch("latentfields.fields.triplane.mlp_parts", mlp_parts_reference),
    ):
        yield


def _discard(_: Tensor) -> None:
    pass
