import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.density_grid import DensityGrid


def ball(points: Tensor) -> Tensor:
    """Density of a hard ball of radius 0.6."""
    return 1000.0 * (points.norm(dim=-1) < 0.6)


def updated(grid: DensityGrid, *, times: int, share: float = 1.0, seed: int = 0) -> DensityGrid:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(times):
        grid.update(ball, share=share, generator=generator)
    return grid


def test_before_the_first_look_nothing_is_skipped() -> None:
    grid = DensityGrid(resolution=8)
    assert grid.occupied(2 * torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) - 1).all()


@settings(deadline=None, max_examples=20)
@given(resolution=st.integers(1, 12), seed=st.integers(0, 2**31 - 1))
def test_every_point_reads_the_cell_it_is_in(resolution: int, seed: int) -> None:
    grid = DensityGrid(resolution=resolution)
    grid.density.copy_(torch.arange(resolution**3))
    cell = torch.randint(resolution, (30, 3), generator=torch.Generator().manual_seed(seed))
    inside = 0.05 + 0.9 * torch.rand(30, 3, generator=torch.Generator().manual_seed(seed + 1))
    points = (cell + inside) * 2 / resolution - 1
    expected = (cell * torch.tensor([resolution**2, resolution, 1])).sum(dim=-1)
    assert grid.at(points).tolist() == expected.tolist()


def test_points_on_the_border_read_the_outermost_cells() -> None:
    grid = DensityGrid(resolution=4)
    grid.density.copy_(torch.arange(64))
    points = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
    assert grid.at(points).tolist() == [0, 63, 15]


def test_cells_remember_the_densest_look_and_forget_it_slowly() -> None:
    grid = DensityGrid(resolution=4, decay=0.5)
    generator = torch.Generator().manual_seed(0)
    grid.update(lambda points: torch.full((len(points),), 80.0), share=1.0, generator=generator)
    assert (grid.density == 80).all()
    for expected in (40, 20, 10, 7, 7):
        grid.update(lambda points: torch.full((len(points),), 7.0), share=1.0, generator=generator)
        assert grid.density.tolist() == pytest.approx([expected] * 64)


def test_looks_are_in_the_cells_they_count_for() -> None:
    grid = DensityGrid(resolution=16, decay=0.0)
    grid.update(lambda points: points[:, 0] + 2 * points[:, 1] + 3 * points[:, 2] + 10, share=1.0,
                generator=torch.Generator().manual_seed(0))  # fmt: skip
    centre = (torch.arange(16) + 0.5) / 8 - 1
    x, y, z = torch.meshgrid(centre, centre, centre, indexing="ij")
    difference = grid.density - (x + 2 * y + 3 * z + 10).flatten()
    assert difference.abs().max() <= (1 + 2 + 3) / 16 + 1e-5
    assert difference.std() > 0.1, "positions should be random in their cell"


def test_an_update_looks_at_its_share_of_the_cells() -> None:
    grid = DensityGrid(resolution=8, decay=0.0)
    grid.update(lambda points: torch.full((len(points),), -1.0), share=0.25,
                generator=torch.Generator().manual_seed(0))  # fmt: skip
    assert (grid.density <= 0).sum() == 128


def test_empty_space_is_skipped_and_matter_is_not() -> None:
    grid = updated(DensityGrid(resolution=16), times=60)
    points = 2 * torch.rand(4000, 3, generator=torch.Generator().manual_seed(1)) - 1
    radius, cell_diagonal = points.norm(dim=-1), 3**0.5 / 8
    occupied = grid.occupied(points)
    assert occupied[radius < 0.6 - cell_diagonal].all()
    assert not occupied[radius > 0.6 + cell_diagonal].any()


def test_thin_fog_is_not_all_skipped() -> None:
    grid = DensityGrid(resolution=16, decay=0.0)
    thin = grid.highest_threshold * 1e-3
    grid.update(lambda points: thin * (1 + points[:, 0]), share=1.0,
                generator=torch.Generator().manual_seed(0))  # fmt: skip
    points = 2 * torch.rand(1000, 3, generator=torch.Generator().manual_seed(1)) - 1
    assert 0.4 < grid.occupied(points).float().mean() < 0.6


def test_equal_seeds_give_equal_grids() -> None:
    first = updated(DensityGrid(resolution=8), times=3, share=0.5, seed=4)
    assert torch.equal(first.density, updated(DensityGrid(resolution=8), times=3, share=0.5, seed=4).density)
    other = updated(DensityGrid(resolution=8), times=3, share=0.5, seed=5)
    assert not torch.equal(first.density, other.density)


def test_sampling_weights_are_positive_and_lie_where_the_ray_meets_matter() -> None:
    grid = updated(DensityGrid(resolution=32), times=60)
    origins = torch.tensor([[0.0, 0.0, 3.0], [0.9, 0.9, 3.0]])
    rays = Rays(origins, torch.tensor([[0.0, 0.0, -1.0]]).repeat(2, 1), torch.full((2, 1), 0.01))
    weights = grid.sampling_weights(rays, torch.full((2,), 2.0), torch.full((2,), 4.0), bins=40)
    assert (weights > 0).all()
    share = weights / weights.sum(dim=1, keepdim=True)
    # The ball begins at distance 2.4: bin 8 of 40; cells and the blur are up to two bins wide.
    assert share[0, 5:14].sum() > 0.9
    # Beside the ball there is nothing to prefer.
    torch.testing.assert_close(share[1], torch.full((40,), 1 / 40))
