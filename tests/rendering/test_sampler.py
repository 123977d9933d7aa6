"""Samplers show the same picture as the integral itself, and the networks that some carry learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from helpers.field_checks import camera_rays
from latentfields.cameras import Rays
from latentfields.latent_nerf.presets import preset
from latentfields.rendering.config import (
    EvenSamplingConfig,
    GridSamplingConfig,
    HierarchicalSamplingConfig,
    ProposalSamplingConfig,
)
from latentfields.rendering.even_sampler import EvenSampler
from latentfields.rendering.grid_sampler import GridSampler
from latentfields.rendering.hierarchical import HierarchicalSampler
from latentfields.rendering.intervals import importance_edges, render_intervals, stratified_edges
from latentfields.rendering.proposal import ProposalSampler
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import Sampler
from latentfields.rendering.sampling import resample_edges, sample_edges

NEAR, FAR = 0.5, 6.0
BACKGROUND = torch.tensor([0.1, 0.2, 0.3])


class Blob(nn.Module):
    """A smooth blob whose colour changes with position and direction."""

    def __init__(self, amplitude: float = 30.0, width: float = 0.1) -> None:
        super().__init__()
        self.amplitude = nn.Parameter(torch.tensor(amplitude))
        self.width = width

    def density(self, points: Tensor) -> Tensor:
        return self.amplitude * torch.exp(-points.square().sum(dim=-1) / self.width)

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        return self.density(points), torch.sigmoid(2 * points + directions)


def hierarchical(coarse: nn.Module | None, *, scale: int = 1) -> HierarchicalSampler:
    return HierarchicalSampler(
        HierarchicalSamplingConfig(coarse_samples=32 * scale, fine_samples=64 * scale), coarse
    )


def proposal(first: Blob, second: Blob, *, anneal_steps: int = 0) -> ProposalSampler:
    options = ProposalSamplingConfig(
        samples=64, proposal_samples=(64, 48), resolutions=(2, 2), anneal_steps=anneal_steps
    )
    return ProposalSampler(options, [first, second])


def samplers() -> dict[str, Sampler]:
    # Networks that are wider than the field they guide to: what they learn to be.
    return {
        "even": EvenSampler(EvenSamplingConfig(samples=96)),
        "own": hierarchical(Blob(15.0, 0.15)),
        "shared": hierarchical(None),
        "added": HierarchicalSampler(
            HierarchicalSamplingConfig(
                coarse_samples=64, fine_samples=96, coarse_network="shared", rendered="added"
            ),
            None,
        ),
        "proposal": proposal(Blob(5.0, 0.3), Blob(15.0, 0.15)),
    }


def shot_of(rays: Rays, generator: torch.Generator | None = None) -> Shot:
    return Shot(rays, BACKGROUND, near=NEAR, far=FAR, generator=generator)


def render(sampler: Sampler, field: nn.Module, rays: Rays, *, seed: int | None = None) -> Rendering:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    return sampler.render(field, shot_of(rays, generator))  # type: ignore[arg-type]


@torch.no_grad()
def dense(field: Blob, rays: Rays) -> Rendering:
    shot = shot_of(rays)
    edges = torch.linspace(0, 1, 1500).expand(len(rays), -1)
    return render_intervals(field, shot, shot.span(), edges)[0]


@pytest.mark.parametrize("name", ["even", "own", "shared", "added", "proposal"])
@pytest.mark.parametrize("seed", [None, 0])
@torch.no_grad()
def test_the_picture_is_the_integral(name: str, seed: int | None) -> None:
    field, rays = Blob(), camera_rays(size=12)
    ours, exact = render(samplers()[name], field, rays, seed=seed), dense(field, rays)
    assert exact.opacity.max() > 0.95
    tolerance = 0.01 if seed is None else 0.03
    torch.testing.assert_close(ours.features, exact.features, atol=tolerance, rtol=0)
    torch.testing.assert_close(ours.opacity, exact.opacity, atol=tolerance, rtol=0)
    torch.testing.assert_close(ours.depth, exact.depth, atol=5 * tolerance, rtol=0)


@pytest.mark.parametrize("name", ["even", "own", "shared", "added", "proposal"])
@torch.no_grad()
def test_evaluation_is_deterministic_and_training_seeded(name: str) -> None:
    sampler, field, rays = samplers()[name], Blob(), camera_rays(size=12)
    assert torch.equal(render(sampler, field, rays).features, render(sampler, field, rays).features)
    first, again, other = (render(sampler, field, rays, seed=seed).features for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@torch.no_grad()
def test_evaluation_does_not_depend_on_how_far_proposals_are_trained() -> None:
    sampler, field, rays = (
        proposal(Blob(5.0, 0.3), Blob(15.0, 0.15), anneal_steps=100),
        Blob(),
        camera_rays(size=12),
    )
    generator = torch.Generator()
    before, jittered = render(sampler, field, rays), render(sampler, field, rays, seed=0)
    sampler.update(field, step=3, generator=generator)
    assert torch.equal(render(sampler, field, rays).features, before.features)
    assert not torch.equal(render(sampler, field, rays, seed=0).features, jittered.features)
    sampler.update(field, step=100, generator=generator)
    assert torch.equal(render(sampler, field, rays, seed=0).features, jittered.features)


def test_the_coarse_network_is_rendered_and_learns_from_its_own_picture() -> None:
    coarse, field, rays = Blob(15.0, 0.15), Blob(), camera_rays(size=12)
    seen = render(hierarchical(coarse), field, rays)
    assert seen.coarse is not None
    torch.testing.assert_close(seen.coarse, dense(coarse, rays).features, atol=0.02, rtol=0)
    seen.features.sum().backward(retain_graph=True)
    assert [part.amplitude.grad is None for part in (field, coarse)] == [False, True]
    seen.coarse.sum().backward()
    assert coarse.amplitude.grad is not None
    assert render(hierarchical(None), field, rays).coarse is None


class CountingBlob(Blob):
    """Knows how many points its density and its features were asked for."""

    asked = (0, 0)

    def density(self, points: Tensor) -> Tensor:
        self.asked = (self.asked[0] + len(points), self.asked[1])
        return super().density(points)

    def forward(self, points: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        found = super().forward(points, directions)
        self.asked = (self.asked[0] - len(points), self.asked[1] + len(points))
        return found


@pytest.mark.parametrize(("rendered", "coloured"), [("added", 50), ("union", 250)])
@torch.no_grad()
def test_the_fine_pass_renders_what_it_added_or_all(
    rendered: Literal["added", "union"], coloured: int
) -> None:
    """TensoRF's densities at 200 samples; colours at 50 others in Nerfstudio, at all of them in NeRF's way."""
    options = preset("tensorf", "paper").sampling
    assert isinstance(options, HierarchicalSamplingConfig)
    assert options.rendered == "added"
    field, rays = CountingBlob(), camera_rays(size=4)
    render(HierarchicalSampler(replace(options, rendered=rendered), None), field, rays)
    assert field.asked == (200 * len(rays), coloured * len(rays))


def test_proposals_learn_from_the_loss_and_the_field_from_both() -> None:
    # Proposals that miss the blob.
    first, second, field, rays = Blob(0.5, 0.3), Blob(0.5, 0.3), Blob(), camera_rays(size=12)
    seen = render(proposal(first, second), field, rays)
    assert seen.loss is not None
    assert seen.loss.shape == (len(rays),)
    assert (seen.loss >= 0).all()
    seen.features.sum().backward(retain_graph=True)
    assert first.amplitude.grad is None
    field.amplitude.grad = None
    seen.loss.mean().backward()
    for network in (first, second):
        assert network.amplitude.grad is not None
        assert network.amplitude.grad < 0  # Denser proposals would cover more.
    assert field.amplitude.grad is not None  # Of the distortion.


def test_more_samples_go_where_the_weights_are() -> None:
    rays = camera_rays(size=1)
    edges = stratified_edges(shot_of(rays), 10)
    weights = torch.zeros(1, 10)
    weights[0, 3] = 1.0
    resampled = importance_edges(shot_of(rays), edges, weights, 100)
    inside = ((resampled >= 0.3) & (resampled <= 0.4)).sum()
    assert 85 <= inside <= 95
    assert resampled[0, 0] == 0
    assert resampled[0, -1] == 1
    assert (resampled.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("jittered", [False, True])
def test_uneven_bins_are_resampled_as_even_ones(jittered: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(5, 8, generator=generator)
    jitter = torch.rand(5, 6, generator=generator) - 0.5 if jittered else None
    even = torch.linspace(0, 1, 9).expand(5, -1)
    expected = sample_edges(weights, 7, jitter=jitter)
    torch.testing.assert_close(resample_edges(even, weights, 7, jitter=jitter), expected)
    # Bins of another width, moved by a map that is linear inside each of them, move the samples likewise.
    uneven = torch.cat([torch.zeros(5, 1), torch.rand(5, 8, generator=generator).cumsum(dim=1)], dim=1)
    uneven = uneven / uneven[:, -1:]
    cell = (expected * 8).long().clamp(max=7)
    moved = uneven.gather(1, cell) + (expected * 8 - cell) * uneven.diff(dim=1).gather(1, cell)
    torch.testing.assert_close(resample_edges(uneven, weights, 7, jitter=jitter), moved)


def test_the_density_grid_is_looked_at_when_it_is_due() -> None:
    options = GridSamplingConfig(grid_resolution=4, grid_every=3, grid_warmup=4)
    sampler, generator = GridSampler(options), torch.Generator().manual_seed(0)
    looked: list[int] = []

    class Counting:
        def density(self, points: Tensor) -> Tensor:
            looked.append(len(points))
            return torch.ones(len(points))

    for step in range(7):
        sampler.update(Counting(), step=step, generator=generator)
    assert looked == [64, 64, 16]  # Steps 0 and 3, and a quarter of the cells at step 6.
