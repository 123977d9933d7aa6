"""Tile lists against a loop over Gaussians and tiles, and on warp against their twin."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from helpers.splatting_scenes import cloud, crooked_camera
from latentfields.rendering.splatting.projection import ProjectedGaussians, project_reference
from latentfields.rendering.splatting.tiles import front_to_back, tile_lists, tile_lists_reference

both = pytest.mark.parametrize("lists", [tile_lists, tile_lists_reference])


def projected(count: int = 300, dtype: torch.dtype = torch.float32) -> ProjectedGaussians:
    camera = crooked_camera().to(dtype)
    return project_reference(cloud(count, dtype=dtype), camera, near=0.2, blur=0.3, antialiased=False)


def lists_by_loop(gaussians: ProjectedGaussians, *, tile: int, width: int, height: int) -> list[list[int]]:
    """Tile by tile, the visible Gaussians whose box has a part in it, nearest first."""
    nearest_first = sorted(
        gaussians.radii.nonzero()[:, 0].tolist(), key=lambda g: (float(gaussians.depths[g]), g)
    )
    low = (gaussians.means_2d - gaussians.extents).tolist()
    high = (gaussians.means_2d + gaussians.extents).tolist()
    out = []
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            out.append(
                [
                    g
                    for g in nearest_first
                    if low[g][0] < left + tile
                    and high[g][0] >= left
                    and low[g][1] < top + tile
                    and high[g][1] >= top
                ]
            )
    return out


def split(starts: Tensor, members: Tensor) -> list[list[int]]:
    return [part.tolist() for part in members.split(starts.diff().tolist())]


@both
@pytest.mark.parametrize(("tile", "width", "height"), [(4, 22, 17), (8, 22, 17), (4, 8, 4), (16, 5, 40)])
def test_a_loop_over_tiles_agrees(lists: object, tile: int, width: int, height: int) -> None:
    assert callable(lists)
    gaussians = projected()
    found = split(*lists(gaussians, tile=tile, width=width, height=height))
    assert found == lists_by_loop(gaussians, tile=tile, width=width, height=height)
    assert sum(map(len, found)) > 100


@both
def test_nothing_visible_gives_empty_lists(lists: object) -> None:
    assert callable(lists)
    gaussians = dataclasses.replace(projected(5), radii=torch.zeros(5, dtype=torch.int32))
    starts, members = lists(gaussians, tile=4, width=9, height=9)
    assert starts.tolist() == [0] * 10
    assert members.tolist() == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_depths_keep_the_order_of_the_gaussians(dtype: torch.dtype) -> None:
    depths = torch.tensor([2.0, 0.5, 2.0, 1e-3, 0.5, 7e4, 2.0], dtype=dtype)
    radii = torch.tensor([1, 1, 1, 1, 1, 1, 0], dtype=torch.int32)
    gaussians = dataclasses.replace(projected(7, dtype), depths=depths, radii=radii)
    assert front_to_back(gaussians).tolist() == [3, 1, 4, 0, 2, 5]
