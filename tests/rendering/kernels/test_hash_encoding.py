"""The hash encoding against a loop over points, levels and vertices, and on warp against its twin."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.rendering.kernels.backend import kernel_backend
from latentfields.rendering.kernels.hash_encoding import (
    Level,
    cell_corners,
    hash_encoding,
    hash_encoding_reference,
    pyramid,
    total_rows,
)

fast = settings(deadline=None, max_examples=25)
needs_warp = pytest.mark.skipif(kernel_backend() != "warp", reason="warp is not installed")

LEVELS = pyramid(levels=4, coarsest=2, finest=40, table_size=2**9)


def points_everywhere(count: int = 50) -> Tensor:
    """Points inside, at all corners, edges and centres of the cube, on vertices of a level, and outside; float64."""
    generator = torch.Generator().manual_seed(count)
    inside = 2 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1
    marks = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0, 1.5], dtype=torch.float64)] * 3)
    vertices = torch.randint(41, (count, 3), generator=generator) / 20 - 1
    return torch.cat([inside, marks, vertices.double()])


def table_for(levels: tuple[Level, ...], features: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(total_rows(levels), features, generator=generator, dtype=torch.float64)


def slow_encoding(table: Tensor, point: list[float], levels: tuple[Level, ...]) -> Tensor:
    """One point's encoding as the paper puts it: every vertex of every level's grid that is near enough."""
    out = []
    for level in levels:
        n = level.resolution
        scaled = [(min(max(c, -1.0), 1.0) + 1) / 2 * n for c in point]
        value = torch.zeros(table.shape[1], dtype=table.dtype)
        for x in range(math.floor(scaled[0]), math.floor(scaled[0]) + 2):
            for y in range(math.floor(scaled[1]), math.floor(scaled[1]) + 2):
                for z in range(math.floor(scaled[2]), math.floor(scaled[2]) + 2):
                    vertex = (x, y, z)
                    weight = math.prod(max(0.0, 1 - abs(s - v)) for s, v in zip(scaled, vertex, strict=True))
                    if weight == 0:
                        continue
                    if (n + 1) ** 3 <= level.rows:
                        row = x + (n + 1) * y + (n + 1) ** 2 * z
                    else:
                        row = (x ^ (y * 2654435761) % 2**32 ^ (z * 805459861) % 2**32) % level.rows
                    value += weight * table[level.first_row + row]
        out.append(value)
    return torch.cat(out)


def test_levels_grow_geometrically_and_share_rows_only_when_they_must() -> None:
    levels = pyramid(levels=16, coarsest=16, finest=2048, table_size=2**14)
    assert [level.resolution for level in levels][:3] == [16, 22, 30]
    assert levels[-1].resolution == 2048
    assert [level.dense for level in levels] == [True] * 2 + [False] * 14
    assert [level.rows for level in levels] == [17**3, 23**3] + [2**14] * 14
    assert [level.first_row for level in levels[:4]] == [0, 17**3, 17**3 + 23**3, 17**3 + 23**3 + 2**14]
    assert pyramid(levels=1, coarsest=5, finest=9, table_size=2**9) == (Level(5, 0, 216),)


def test_the_pyramid_of_these_tests_has_dense_and_hashed_levels() -> None:
    assert {level.dense for level in LEVELS} == {True, False}


@pytest.mark.parametrize("encode", [hash_encoding, hash_encoding_reference])
def test_a_loop_over_vertices_agrees(encode: object) -> None:
    assert callable(encode)
    points, table = points_everywhere(), table_for(LEVELS)
    expected = torch.stack([slow_encoding(table, point, LEVELS) for point in points.tolist()])
    torch.testing.assert_close(encode(table, points, LEVELS), expected)


@fast
@given(resolution=st.integers(1, 300), log2_rows=st.integers(4, 12), seed=st.integers(0, 2**31 - 1))
def test_weights_sum_to_one_and_average_the_vertices_to_the_point(
    resolution: int, log2_rows: int, seed: int
) -> None:
    (level,) = pyramid(levels=1, coarsest=resolution, finest=resolution, table_size=2**log2_rows)
    generator = torch.Generator().manual_seed(seed)
    points = 2 * torch.rand(20, 3, generator=generator, dtype=torch.float64) - 1
    index, weight = cell_corners(points, level)
    assert int(index.min()) >= 0
    assert int(index.max()) < level.rows
    torch.testing.assert_close(weight.sum(dim=1), torch.ones(20, dtype=torch.float64))
    if level.dense:
        n = resolution + 1
        vertices = torch.stack([index % n, index // n % n, index // n**2], dim=-1)
        mean = (vertices * weight[..., None]).sum(dim=1)
        torch.testing.assert_close(mean, (points + 1) * (resolution / 2))


def test_the_twins_gradients_are_those_of_finite_differences() -> None:
    levels = pyramid(levels=2, coarsest=1, finest=4, table_size=2**4)
    points = points_everywhere(3)[:6]
    table = table_for(levels).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: hash_encoding_reference(t, points, levels), (table,))


@needs_warp
@pytest.mark.parametrize("features", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 16, 9000])
def test_on_warp_values_and_gradients_are_the_twins(features: int, count: int) -> None:
    levels = pyramid(levels=3, coarsest=4, finest=50, table_size=2**10)
    generator = torch.Generator().manual_seed(count)
    points = 2.4 * torch.rand(count, 3, generator=generator) - 1.2
    points[0] = torch.tensor([1.0, -1.0, 1.0])
    gradient = torch.randn(count, 3 * features, generator=generator)
    results = []
    for encode in (hash_encoding, hash_encoding_reference):
        table = table_for(levels, features).float().requires_grad_()
        value = encode(table, points, levels)
        value.backward(gradient)
        assert table.grad is not None
        results.append((value.detach(), table.grad))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], rtol=1e-5, atol=1e-4)


def test_strided_points_and_tables_are_read_as_they_are() -> None:
    points = points_everywhere(20).float().T.contiguous().T
    table = table_for(LEVELS, features=4).float()[:, ::2].requires_grad_()
    assert not points.is_contiguous()
    assert not table.is_contiguous()
    expected = hash_encoding_reference(table.contiguous(), points.contiguous(), LEVELS)
    torch.testing.assert_close(hash_encoding(table, points, LEVELS), expected, rtol=1e-5, atol=1e-5)


def test_no_points_is_a_result_too() -> None:
    table = table_for(LEVELS).float().requires_grad_()
    value = hash_encoding(table, torch.zeros(0, 3), LEVELS)
    assert value.shape == (0, 8)
    value.sum().backward()
    assert table.grad is not None
    assert not table.grad.any()


def test_the_same_input_gives_the_same_bits() -> None:
    points, results = points_everywhere(3000).float(), []
    for _ in range(2):
        table = table_for(LEVELS).float().requires_grad_()
        hash_encoding(table, points, LEVELS).square().sum().backward()
        assert table.grad is not None
        results.append(table.grad)
    first, second = results
    assert torch.equal(first, second)
