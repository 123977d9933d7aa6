import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.sampling import box_segment
from latentfields.rendering.spans import BoxSpan


def ball(points: Tensor) -> Tensor:
    """Density of a hard ball of radius 0.6."""
    inside: Tensor = points.norm(dim=-1) < 0.6
    return 1000.0 * inside


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
    assert grid.at(points, grid.density).tolist() == expected.tolist()


def test_points_on_the_border_read_the_outermost_cells() -> None:
    grid = DensityGrid(resolution=4)
    grid.density.copy_(torch.arange(64))
    points = torch.tensor([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
    assert grid.at(points, grid.density).tolist() == [0, 63, 15]


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
    grid.update(
        lambda points: points[:, 0] + 2 * points[:, 1] + 3 * points[:, 2] + 10,
        share=1.0,
        generator=torch.Generator().manual_seed(0),
    )
    centre = (torch.arange(16) + 0.5) / 8 - 1
    x, y, z = torch.meshgrid(centre, centre, centre, indexing="ij")
    difference = grid.density - (x + 2 * y + 3 * z + 10).flatten()
    assert difference.abs().max() <= (1 + 2 + 3) / 16 + 1e-5
    assert difference.std() > 0.1, "positions should be random in their cell"


def test_an_update_looks_at_its_share_of_the_cells() -> None:
    grid = DensityGrid(resolution=8, decay=0.0)
    grid.update(
        lambda points: torch.full((len(points),), -1.0),
        share=0.25,
        generator=torch.Generator().manual_seed(0),
    )
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
    grid.update(
        lambda points: thin * (1 + points[:, 0]), share=1.0, generator=torch.Generator().manual_seed(0)
    )
    points = 2 * torch.rand(1000, 3, generator=torch.Generator().manual_seed(1)) - 1
    assert 0.4 < grid.occupied(points).float().mean() < 0.6


def test_equal_seeds_give_equal_grids() -> None:
    first = updated(DensityGrid(resolution=8), times=3, share=0.5, seed=4)
    assert torch.equal(first.density, updated(DensityGrid(resolution=8), times=3, share=0.5, seed=4).density)
    other = updated(DensityGrid(resolution=8), times=3, share=0.5, seed=5)
    assert not torch.equal(first.density, other.density)


def weights_along(grid: DensityGrid, *origins: tuple[float, float, float]) -> Tensor:
    """Shares (R, 40) of the weights of rays down the z axis, over the distances 2 to 4 from z = 3."""
    start = torch.tensor(origins)
    rays = Rays(start, torch.tensor([[0.0, 0.0, -1.0]]).expand_as(start))
    enter = torch.full((len(start),), 2.0)
    weights = grid.sampling_weights(*BoxSpan(rays, enter, enter + 2).bins(40))
    assert (weights > 0).all()
    return weights / weights.sum(dim=1, keepdim=True)


def test_samples_go_where_the_ray_meets_matter_first() -> None:
    grid = updated(DensityGrid(resolution=32), times=60)
    through, beside = weights_along(grid, (0.0, 0.0, 3.0), (0.9, 0.9, 3.0))
    # The ball reaches from bin 8 to bin 32, give or take a cell and the blur.
    assert through[6:34].sum() > 0.98
    assert through[6:12].sum() > 2 * through[28:34].sum()
    # Beside the ball there is nothing to prefer.
    torch.testing.assert_close(beside, torch.full((40,), 1 / 40))


def test_one_dense_cell_does_not_hide_what_is_behind_it() -> None:
    grid = DensityGrid(resolution=32)
    grid.density.zero_()
    cells = grid.density.view(32, 32, 32)
    cells[16, 16, 24] = 1e5
    cells[16, 16, 8:16] = 1e5
    share = weights_along(grid, (0.01, 0.01, 3.0))[0]
    assert share[8:14].sum() > 0.1, "the single cell, at distance 2.5"
    assert share[19:32].sum() > 0.4, "the wall behind it, at distance 3"


@settings(deadline=None, max_examples=30)
@given(resolution=st.sampled_from([5, 16, 33, 64]), seed=st.integers(0, 2**31 - 1))
def test_no_ray_misses_an_occupied_cell_however_briefly_it_meets_it(resolution: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    grid = DensityGrid(resolution=resolution)
    grid.density.zero_()
    # Not at the very border, where a ray has no way to go before the cell.
    cell = 1 + torch.randint(resolution - 2, (3,), generator=generator)
    grid.density.view(resolution, resolution, resolution)[tuple(cell)] = 50.0
    targets = (cell + torch.rand(200, 3, generator=generator)) * 2 / resolution - 1
    origins = 2.5 * torch.nn.functional.normalize(torch.randn(200, 3, generator=generator), dim=-1)
    directions = torch.nn.functional.normalize(targets - origins, dim=-1)
    rays = Rays(origins, directions)
    enter, leave = box_segment(rays, near=0.1, far=6.0)
    active, start, end = grid.occupied_range(rays, enter, leave)
    assert active.tolist() == list(range(200))
    distance = (targets - origins).norm(dim=-1)
    assert (start <= distance).all()
    assert (distance <= end).all()
    assert (enter <= start).all()
    assert (end <= leave).all()
    assert (end - start).max() < 0.2 + 40 / resolution, "and not much more than the cell"


def test_rays_that_meet_no_occupied_block_are_left_out() -> None:
    grid = updated(DensityGrid(resolution=32), times=60)
    origins = torch.tensor([[0.0, 0.0, 3.0], [0.95, 0.95, 3.0], [0.1, -0.2, 3.0]])
    rays = Rays(origins, torch.tensor([[0.0, 0.0, -1.0]]).repeat(3, 1))
    active, start, end = grid.occupied_range(rays, torch.full((3,), 2.0), torch.full((3,), 4.0))
    assert active.tolist() == [0, 2]
    assert ((start > 2.0) & (start < 2.4)).all()
    assert ((end > 3.6) & (end < 4.0)).all()


def test_cells_outside_of_a_hull_stay_empty() -> None:
    grid = DensityGrid(resolution=8)
    inside = torch.zeros(8, 8, 8, dtype=torch.bool)
    inside[2:6, 2:6, 2:6] = True
    grid.restrict(inside.flatten())
    looked_at: list[Tensor] = []

    def density(points: Tensor) -> Tensor:
        looked_at.append(points)
        return torch.full((len(points),), 50.0)

    grid.update(density, share=1.0, generator=torch.Generator().manual_seed(0))
    points = torch.cat(looked_at)
    assert len(points) == 64
    assert (points.abs() <= 0.5).all()
    assert torch.equal(grid.density > 0, inside.flatten())
    assert not grid.occupied(torch.tensor([[0.6, 0.0, 0.0]])).any()
    assert grid.occupied(torch.tensor([[0.4, 0.0, 0.0]])).all()
