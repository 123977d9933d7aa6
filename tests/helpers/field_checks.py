"""What the tests of several fields share: finite differences, learning rates, and a short fit without a trainer."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest
import torch
from torch import Tensor, nn

from helpers.tiny import sphere_cameras, sphere_rgba
from latentfields.cameras import Cameras, Rays, look_at
from latentfields.fields.field import Field
from latentfields.rendering.config import DensityGridConfig
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.renderer import render_rays
from latentfields.rendering.rendering import Shot

SAMPLING = DensityGridConfig(samples=16, bins=32, grid_resolution=16)
GRID_EVERY = 16
RAYS = 512
TRAIN_VIEWS, TEST_VIEWS = 10, 2


def points_and_directions(count: int = 20) -> tuple[Tensor, Tensor]:
    """Random points in the box and unit directions, (P, 3) each."""
    generator = torch.Generator().manual_seed(1)
    points = 2 * torch.rand(count, 3, generator=generator) - 1
    return points, torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)


def linear_layers(layers: Iterable[nn.Module]) -> list[nn.Linear]:
    """The layers, all of which are linear."""
    found = [layer for layer in layers if isinstance(layer, nn.Linear)]
    assert len(found) == len(list(layers))
    return found


def camera_rays(*, size: int) -> Rays:
    """Of one camera that looks at the origin from outside of the box."""
    cameras = Cameras(
        camera_to_world=look_at(
            torch.tensor([[2.0, 1.0, 1.5]]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0])
        ),
        focal=torch.full((1, 2), 1.1 * size),
        principal=torch.full((1, 2), size / 2),
        width=size,
        height=size,
    )
    return cameras.rays().flatten()


def check_gradients(field: Field) -> None:
    """Gradients of density and features in every parameter are those of finite differences."""
    field = field.double()
    points, directions = (value.double() for value in points_and_directions(4))
    names = [name for name, _ in field.named_parameters()]

    def outputs(*values: Tensor) -> Tensor:
        parameters = dict(zip(names, values, strict=True))
        density, features = torch.func.functional_call(field, parameters, (points, directions))
        return torch.cat([density[:, None], features], dim=1)

    inputs = tuple(p.detach().clone().requires_grad_() for p in field.parameters())
    assert torch.autograd.gradcheck(outputs, inputs)


def check_parameter_groups(field: Field, rates: dict[str, float]) -> None:
    """Every parameter is in one group, with half of its rate when the factor is one half."""
    found: dict[int, float] = {}
    for group in field.parameter_groups(learning_rate_factor=0.5):
        for parameter in group["params"]:  # type: ignore[attr-defined]
            assert id(parameter) not in found
            found[id(parameter)] = group["lr"]  # type: ignore[assignment]
    expected = {id(parameter): 0.5 * rates[name] for name, parameter in field.named_parameters()}
    assert found == pytest.approx(expected)


def fit_sphere(field: Field, *, steps: int) -> float:
    """Fit a field of three channels to pictures of the striped sphere on white; PSNR (dB) on views left out."""
    generator = torch.Generator().manual_seed(0)
    cameras = sphere_cameras(TRAIN_VIEWS + TEST_VIEWS)
    rgba = sphere_rgba(cameras).float() / 255
    pixels = (rgba[:, :3] * rgba[:, 3:] + 1 - rgba[:, 3:]).permute(0, 2, 3, 1)
    rays, target = cameras[:TRAIN_VIEWS].rays().flatten(), pixels[:TRAIN_VIEWS].reshape(-1, 3)
    grid = DensityGrid(resolution=SAMPLING.grid_resolution)

    def render(rays: Rays, jitter: torch.Generator | None) -> Tensor:
        shot = Shot(rays, torch.ones(3), near=1.0, far=5.0, generator=jitter)
        return render_rays(field, shot, grid, options=SAMPLING).features

    optimizer: torch.optim.Optimizer | None = None
    for step in range(steps):
        if field.advance(step / steps) or optimizer is None:
            groups = field.parameter_groups(learning_rate_factor=1.0)
            optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15)
            schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.1 ** (1 / steps))
        if step % GRID_EVERY == 0:
            grid.update(field.density, share=1.0, generator=generator)
        chosen = torch.randint(len(rays), (RAYS,), generator=generator)
        error = (render(rays[chosen], generator) - target[chosen]).square().mean()
        optimizer.zero_grad()
        (error + field.regularisation()).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        seen = render(cameras[TRAIN_VIEWS:].rays().flatten(), None)
    return -10 * math.log10(float((seen - pixels[TRAIN_VIEWS:].reshape(-1, 3)).square().mean()))
