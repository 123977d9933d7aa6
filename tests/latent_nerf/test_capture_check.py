"""What is said of the fit of a capture: fog before its points, cameras in the box, points outside of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from helpers.corner_scene import corner_cameras, write_colmap_scene
from helpers.tiny import TINY_FIT
from helpers.unbounded_scene import ball_scene, distances, ring
from latentfields.cameras import Cameras
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.capture_check import FOGGY, SHARES, FogCounter, advice, share_inside
from latentfields.latent_nerf.evaluate import evaluate_model, summary_lines
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.report import write_run_report
from latentfields.rendering.rendering import Rendering

GOOD = dict.fromkeys(SHARES, 0.0)


def rendering(depth: Tensor) -> Rendering:
    return Rendering(features=depth, opacity=torch.ones_like(depth), depth=depth)


def seen_by(camera: Cameras, *, side: int) -> tuple[Tensor, Tensor]:
    """Distances (side, side) to what a grid over a square picture shows, and the points (side * side, 3) there."""
    grid = (torch.arange(side) + 0.5) * (camera.width / side)
    positions = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), dim=-1).view(-1, 2)
    rays = camera[torch.zeros(len(positions), dtype=torch.int64)].rays_at(positions)
    found = distances(rays.origins, rays.directions)
    return found.view(side, side), rays.origins + rays.directions * found[:, None]


def true_depth(cameras: Cameras, *, side: int) -> Tensor:
    return torch.stack([seen_by(cameras[i], side=side)[0][None] for i in range(len(cameras))])


def points_of(cameras: Cameras) -> Tensor:
    """Points on the surfaces, dense enough that they hide those behind them."""
    return torch.cat([seen_by(cameras[i], side=20)[1] for i in range(len(cameras))])


@pytest.mark.parametrize("side", [24, 6])
def test_fog_is_what_ends_rays_well_before_the_points(side: int) -> None:
    cameras = ring(6)
    depth = true_depth(cameras, side=side)
    for share, lowest, highest in ((1.0, 0.0, 0.05), (0.8, 0.0, 0.05), (0.4, 0.8, 1.0)):
        counter = FogCounter(points_of(cameras), near=0.1)
        counter.add(cameras[:4], rendering(share * depth[:4]))
        counter.add(cameras[4:], rendering(share * depth[4:]))
        assert lowest <= counter.share <= highest
    mixed = FogCounter(points_of(cameras), near=0.1)
    mixed.add(cameras[:3], rendering(depth[:3]))
    mixed.add(cameras[3:], rendering(0.1 * depth[3:]))
    assert 0.3 < mixed.share < 0.7
    assert FogCounter(torch.zeros(0, 3), near=0.1).share == 0


def test_shares_are_of_the_cube() -> None:
    assert share_inside(torch.tensor([[0.0, 0, 0], [1, -1, 1], [0, 0, 1.1], [9, 0, 0]])) == 0.5


def test_scores_of_a_scene_with_points_have_the_shares() -> None:
    scene = ball_scene(bounds="scene")
    torch.manual_seed(0)
    model = new_model(scene, None, replace(TINY_FIT, space="rgb"))
    assert "capture" not in evaluate_model(model, None, replace(scene, points=None))
    points = torch.cat([torch.rand(50, 3), torch.full((50, 3), 5.0)])
    found = evaluate_model(model, None, replace(scene, points=points))
    assert tuple(found["capture"]) == SHARES
    assert found["capture"]["cameras_inside"] == 0
    assert found["capture"]["points_outside"] == 0.5
    assert 0 <= found["capture"]["points_in_fog"] <= 1
    assert any(line.startswith("capture") and "points_outside 0.5" in line for line in summary_lines(found))


def test_advice_is_given_where_something_is_wrong() -> None:
    assert advice(GOOD, field="kplanes", bounds="scene") == []
    (fog,) = advice({**GOOD, "points_in_fog": FOGGY}, field="kplanes", bounds="scene")
    assert fog.startswith("Fog: before 20% of the sparse points")
    assert "'gaussians'" in fog
    (poses,) = advice({**GOOD, "points_in_fog": 0.5}, field="gaussians", bounds="scene")
    assert "'gaussians'" not in poses
    assert "Poses" in poses
    outside = {**GOOD, "points_outside": 0.36}
    assert advice(outside, field="kplanes", bounds="scene") == []
    (box,) = advice(outside, field="kplanes", bounds="object")
    assert box.startswith("36% of the sparse points lie outside of the box")


def test_the_first_line_and_the_page_of_a_capture_have_the_shares(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="latentfields")
    write_colmap_scene(tmp_path / "capture", corner_cameras(9, width=48, height=32))
    quick = replace(TINY_FIT.with_steps(supervision=2, alignment=0), space="rgb")
    run = fit(tmp_path / "capture", None, out=tmp_path / "run", config=quick)
    assert any("% outside of the box; " in record.getMessage() for record in caplog.records)
    page = write_run_report(run).read_text(encoding="utf-8")
    assert "points in fog" in page
    assert f"{run.metrics['capture']['points_outside']:.0%}" in page
    # A fit of two steps has no curve of its quality.
    assert "<h3>Quality</h3>" not in page
    assert "<h3>Loss</h3>" in page
