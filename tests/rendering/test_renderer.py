import pytest
import torch
from torch import Tensor, nn

from helpers.field_checks import camera_rays
from latentfields.cameras import Rays
from latentfields.rendering.config import DensityGridConfig
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.renderer import render_rays
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampling import box_segment
from latentfields.rendering.volume import transmittance_and_weights

NEAR, FAR = 0.5, 6.0
BACKGROUND = torch.tensor([0.1, 0.2, 0.3])
RADIUS = 0.6


class Blob(nn.Module):
    """A smooth blob whose colour changes with position and direction."""

    def __init__(self, amplitude: float = 12.0) -> None:
        super().__init__()
        self.amplitude = nn.Parameter(torch.tensor(amplitude))

    def density(self, points: Tensor) -> Tensor:
        return self.amplitude * torch.exp(-points.square().sum(dim=-1) / 0.18)

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return self.density(points), torch.sigmoid(2 * points + directions)


class Ball(nn.Module):
    """A hard ball, opaque at once."""

    def density(self, points: Tensor) -> Tensor:
        inside: Tensor = points.norm(dim=-1) < RADIUS
        return 5e3 * inside

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return self.density(points), 0.5 + 0.4 * points / RADIUS


def learned_grid(field: Blob | Ball, *, skip_below: float = 1e-4) -> DensityGrid:
    grid, generator = DensityGrid(resolution=32, skip_below=skip_below), torch.Generator().manual_seed(0)
    for _ in range(60):
        grid.update(field.density, share=1.0, generator=generator)
    return grid


def render(
    field: Blob | Ball, grid: DensityGrid, rays: Rays, *, seed: int | None = None, samples: int = 32
) -> Rendering:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    options = DensityGridConfig(samples=samples, bins=64)
    shot = Shot(rays, BACKGROUND, near=NEAR, far=FAR, generator=generator)
    return render_rays(field, shot, grid, options=options)


@torch.no_grad()
def dense(field: nn.Module, rays: Rays, *, samples: int = 1500) -> Rendering:
    """The same integral with many even intervals and no grid."""
    enter, leave = box_segment(rays, near=NEAR, far=FAR)
    lengths = ((leave - enter) / samples)[:, None].expand(-1, samples)
    middle = enter[:, None] + lengths * (torch.arange(samples) + 0.5)
    points = rays.origins[:, None] + rays.directions[:, None] * middle[..., None]
    density, color = field(points.flatten(0, 1), rays.directions.repeat_interleave(samples, dim=0))
    rest, weights = transmittance_and_weights(density.view(-1, samples), lengths)
    seen = (weights[..., None] * color.view(-1, samples, 3)).sum(dim=1) + rest[:, None] * BACKGROUND
    return Rendering(seen, 1 - rest, (weights * middle).sum(dim=1) + rest * leave)


def test_skipping_and_importance_sampling_do_not_change_the_picture() -> None:
    field, rays = Blob(), camera_rays(size=24)
    ours, exact = render(field, learned_grid(field), rays, samples=64), dense(field, rays)
    assert exact.opacity.max() > 0.95
    assert (exact.opacity < 0.01).any()
    torch.testing.assert_close(ours.features, exact.features, atol=0.01, rtol=0)
    torch.testing.assert_close(ours.opacity, exact.opacity, atol=0.01, rtol=0)
    torch.testing.assert_close(ours.depth, exact.depth, atol=0.03, rtol=0)


@pytest.mark.parametrize("skip_below", [0.003, 0.01, 0.03])
def test_skipping_costs_no_more_than_what_it_skips(skip_below: float) -> None:
    """Optical depth below the threshold over the longest way through the box is all that can be lost."""
    field, rays = Blob(), camera_rays(size=24)
    grid = learned_grid(field, skip_below=skip_below)
    lost = dense(field, rays).opacity - render(field, grid, rays, samples=64).opacity
    assert lost.min() > -0.01
    assert lost.max() < 0.01 + float(grid.threshold) * 2 * 3**0.5


def test_more_samples_come_closer() -> None:
    field, rays = Blob(), camera_rays(size=24)
    grid, exact = learned_grid(field), dense(field, rays)
    errors = [
        (render(field, grid, rays, samples=samples).features - exact.features).square().mean().sqrt().item()
        for samples in (8, 16, 32, 64)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 4


def test_a_hard_ball_has_no_holes_and_no_halo() -> None:
    """Cells that the outline cuts are dense in part: rays through their empty part must not stop there."""
    field, rays = Ball(), camera_rays(size=40)
    rendering = render(field, learned_grid(field), rays)
    closest = torch.linalg.cross(rays.origins, rays.directions).norm(dim=-1)
    hit, missed = closest < RADIUS - 0.02, closest > RADIUS
    assert hit.sum() > 200
    assert (rendering.opacity[hit] > 0.99).all()
    assert (rendering.opacity[missed] == 0).all()
    along = -(rays.origins * rays.directions).sum(dim=-1)
    surface = along - (RADIUS**2 - closest.square()).clamp(min=0).sqrt()
    torch.testing.assert_close(rendering.depth[hit], surface[hit], atol=0.08, rtol=0)


def test_rays_that_meet_nothing_show_the_background() -> None:
    field = Blob()
    grid = DensityGrid(resolution=8)
    grid.density.zero_()
    rays = camera_rays(size=24)
    rendering = render(field, grid, rays)
    torch.testing.assert_close(rendering.features, BACKGROUND.expand(len(rays), 3))
    assert (rendering.opacity == 0).all()
    _, leave = box_segment(rays, near=NEAR, far=FAR)
    assert torch.equal(rendering.depth, leave)


def test_rays_beside_the_box_show_the_background() -> None:
    origins = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    rays = Rays(origins, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    rendering = render(Blob(), DensityGrid(resolution=8), rays)
    torch.testing.assert_close(rendering.features, BACKGROUND.expand(2, 3))
    assert (rendering.depth <= FAR).all()


def test_without_generator_the_result_is_deterministic_and_with_it_seeded() -> None:
    field, rays = Blob(), camera_rays(size=24)
    grid = learned_grid(field)
    assert torch.equal(render(field, grid, rays).features, render(field, grid, rays).features)
    first, again, other = (render(field, grid, rays, seed=seed).features for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_jitter_does_not_bias_the_picture() -> None:
    field, rays = Blob(), camera_rays(size=12)
    grid, exact = learned_grid(field), dense(field, rays)
    mean = torch.stack([render(field, grid, rays, seed=seed).features for seed in range(20)]).mean(dim=0)
    torch.testing.assert_close(mean, exact.features, atol=0.01, rtol=0)


def test_rays_do_not_depend_on_their_neighbours() -> None:
    field, rays = Blob(), camera_rays(size=24)
    grid = learned_grid(field)
    whole = render(field, grid, rays)
    part = render(field, grid, rays[100:110])
    torch.testing.assert_close(part.features, whole.features[100:110])
    torch.testing.assert_close(part.depth, whole.depth[100:110])


def test_gradients_reach_field_and_background() -> None:
    field, rays = Blob(), camera_rays(size=12)
    grid = learned_grid(field)
    background = BACKGROUND.clone().requires_grad_()
    options = DensityGridConfig(samples=32, bins=64)
    rendering = render_rays(field, Shot(rays, background, near=NEAR, far=FAR), grid, options=options)
    rendering.features.sum().backward()
    assert background.grad is not None
    torch.testing.assert_close(background.grad, (1 - rendering.opacity).sum().expand(3))
    step = 0.01
    with torch.no_grad():
        sums = [render(Blob(12.0 + change), grid, rays).features.sum().item() for change in (step, -step)]
    assert field.amplitude.grad is not None
    assert field.amplitude.grad.item() == pytest.approx((sums[0] - sums[1]) / (2 * step), rel=0.02)
