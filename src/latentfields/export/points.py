"""A fitted scene as a coloured point cloud: rendered depth of many views, in the capture's own coordinates.

Shape suffixes: N views, P points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.config.arguments import checked
from latentfields.errors import InputError
from latentfields.export.config import PointsConfig
from latentfields.export.visible_surface import rendered_distance
from latentfields.export.world import points_to_world, state_shift, world_shift
from latentfields.files import replacing
from latentfields.latent_nerf.render import run_views
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.progress import watched
from latentfields.scenes.selection import evenly_spread

EDGE = 0.05
"""Difference of distance between neighbours, in the normalised frame, at which depth is taken for torn: what is
rendered there lies between the two surfaces, on neither."""
BATCH = 8


@dataclass(frozen=True)
class PointSummary:
    """A summary of what was written."""

    file: Path
    points: int


@checked
def export_points(
    run: Run | str | Path,
    views: SceneCameras | None = None,
    *,
    out: str | Path,
    options: PointsConfig | None = None,
) -> PointSummary:
    """Write a point cloud with colours as a PLY file, replaced in one step.

    `run` is a run, its folder or its file; `views` are by default the cameras of its scene, `run_views`.
    Points are in the capture's coordinates and axes, less the shift that a file beside states where those are large
    (`world.shift_file`); colours are sRGB. Raises InputError for unusable options, and
    when the training views show nothing solid.
    """
    run, out, options = Run.opened(run), Path(out), options or PointsConfig()
    views = run_views(run) if views is None else views
    if out.suffix != ".ply":
        raise InputError(out, "expected a file that ends in .ply")
    options.check()
    cameras = views.cameras[evenly_spread(views.splits["train"], options.views)]
    starts = range(0, len(cameras), BATCH)
    parts = [
        _points_of(run, cameras[start : start + BATCH], stride=options.stride)
        for start in watched(starts, "views", total=len(starts), unit="batch")
    ]
    points = np.concatenate([part[0].double().numpy() for part in parts])
    colors = np.concatenate([part[1].double().numpy() for part in parts])
    if not len(points):
        raise InputError(run.folder, "no training view shows anything solid to take points from")
    points, colors = merge_in_voxels(points, colors, side=2.0 / options.resolution)
    placed = points_to_world(run.frame, points)
    shift = world_shift(placed)
    cloud = trimesh.PointCloud(placed - shift, np.rint(255 * colors).astype(np.uint8))
    with replacing(out) as temporary:
        cloud.export(temporary, file_type="ply")
    state_shift(out, shift)
    return PointSummary(out, len(points))


@torch.no_grad()
def _points_of(run: Run, cameras: Cameras, *, stride: int) -> tuple[Tensor, Tensor]:
    """Points (P, 3) in the normalised frame and their colours (P, 3), one for every `stride`^2 pixels."""
    model = run.model.pictures
    images, _ = model.render(cameras)
    width, height = max(1, cameras.width // stride), max(1, cameras.height // stride)
    # A picture whose latents lie as close as the points shall.
    fine = cameras.resized(width=width * model.factor, height=height * model.factor)
    seen = model.render_features(fine).cpu()
    rays, distance = rendered_distance(run, cameras, seen)
    kept = distance.isfinite() & ~_torn(distance)
    colors = torch.nn.functional.interpolate(images, size=(height, width), mode="area").movedim(1, -1)
    return rays.origins[kept] + rays.directions[kept] * distance[kept][:, None], colors[kept]


def _torn(distance: Tensor) -> Tensor:
    """Mask (N, h, w) of distances that differ by more than `EDGE` from a neighbour in the 3x3 cells around."""
    nearest = -torch.nn.functional.max_pool2d(-distance[:, None], 3, stride=1, padding=1)[:, 0]
    farthest = torch.nn.functional.max_pool2d(distance[:, None], 3, stride=1, padding=1)[:, 0]
    return farthest - nearest > EDGE


def merge_in_voxels(
    points: NDArray[np.float64], colors: NDArray[np.float64], *, side: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean positions and colours, (Q, 3) each, of the points (P, 3) in every voxel of size `side` that has any."""
    _, index = np.unique(np.floor(points / side).astype(np.int64), axis=0, return_inverse=True)
    index = index.reshape(-1)
    count = np.bincount(index)[:, None]
    mean = [
        np.stack([np.bincount(index, weights=values[:, axis]) for axis in range(3)], axis=1) / count
        for values in (points, colors)
    ]
    return mean[0], mean[1]
