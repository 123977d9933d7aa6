"""The start of Gaussians: a scene's sparse points, or spread over the scene's box (Kerbl et al. 2023, Sec. 4).

Shape suffixes: N Gaussians, P points, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.fields.gaussians.field import HARMONIC_0, PARAMETERS, GaussianField
from latentfields.scenes.scene import Scene
from latentfields.scenes.visual_hull import visual_hull_cells

NEIGHBOURS = 3
"""Gaussians start as wide as the mean distance to so many of their nearest neighbours."""
HULL_RESOLUTION = 64
"""Cells per side of the grid in which the visual hull is looked for."""
GOLDEN_ANGLE = 2.399963229728653
"""Turn in radians from one point of a spiral to the next that spreads points evenly over a sphere."""
SKY_POINTS = 0.99
"""Share of the points that lie inside of the sphere of the sky, even if that were no farther than they are."""
SKY_DISTANCE = 5.0
"""Radius of that sphere, in the distance of those points from the middle of the cameras."""
SKY_BORDER = 0.1
"""Share of a picture's sides beyond its border in which points of the sky are kept."""
_SMALLEST = 1e-4
"""Gaussians start at least as wide, in the normalised frame: points may coincide."""


@torch.no_grad()
def initialise(field: GaussianField, scene: Scene, *, generator: torch.Generator) -> None:
    """Fill `field`, on the CPU, for `scene`; what is random comes from `generator`.

    The sparse points, those outside of the box too, or `initial` random ones: in the visual hull where the scene has
    alpha, else in the box; and the sky of a scene without bounds. Three-channel fields of colours start with those of
    the points; all others with the mean.
    """
    config = field.config
    points, colors = _sparse_points(scene, most=config.densification.most, generator=generator)
    if points is None:
        points = _random_points(scene, config.initial, generator)
    sky = _sky(scene, points, config.sky)
    if colors is not None:
        # As grey as what has no colour of its own starts.
        colors = torch.cat([colors, torch.full((len(sky), 3), 128, dtype=torch.uint8)])
    place(field, torch.cat([points, sky]), colors=colors)


@torch.no_grad()
def place(field: GaussianField, points: Tensor, *, colors: Tensor | None = None) -> None:
    """Fill `field` with Gaussians at `points` (N, 3), on its device, as wide as the points are apart.

    `colors` (N, 3) uint8 are taken by three-channel fields of colours; all others start with the mean, and so do the
    values that follow the field.
    """
    rows = {name: points.new_zeros(len(points), *getattr(field, name).shape[1:]) for name in PARAMETERS}
    if colors is not None and field.head == "sigmoid" and field.channels == 3:
        rows["features_dc"][:, 0] = (colors.float() / 255 - 0.5) / HARMONIC_0
    rows["means"] = points
    rows["scales"] += nearest_distances(points).clamp(min=_SMALLEST).log()[:, None]
    # Quaternions w, x, y, z.
    rows["rotations"][:, 0] = 1
    rows["opacities"] += torch.logit(torch.tensor(field.config.initial_opacity))
    field.set_rows(rows)
    for values in field.followers:
        values.begin(len(points))


def nearest_distances(points: Tensor) -> Tensor:
    """Mean distance (P,) of every point of (P, 3) to its three nearest neighbours; as wide as the box for one alone."""
    neighbours = min(NEIGHBOURS, len(points) - 1)
    if neighbours == 0:
        return points.new_ones(len(points))
    # Only fits of Gaussians need SciPy, which takes a while to import.
    from scipy.spatial import KDTree

    coordinates = points.detach().cpu().double().numpy()
    distances, _ = KDTree(coordinates).query(coordinates, k=neighbours + 1)
    # The nearest is the point itself.
    return torch.from_numpy(distances[:, 1:].mean(axis=1)).to(points)


def _sparse_points(
    scene: Scene, *, most: int, generator: torch.Generator
) -> tuple[Tensor | None, Tensor | None]:
    """At most so many of the scene's points and their colours, in the scene's order."""
    if scene.points is None or len(scene.points) == 0:
        return None, None
    chosen = torch.randperm(len(scene.points), generator=generator)[:most].sort().values
    return scene.points[chosen], None if scene.point_colors is None else scene.point_colors[chosen]


def _sky(scene: Scene, points: Tensor, count: int) -> Tensor:
    """Points (S, 3), of `count` evenly on a sphere behind all others those that training views see."""
    if scene.bounds != "scene" or count == 0:
        return points.new_zeros(0, 3)
    cameras = scene.cameras[scene.indices("train")]
    center = cameras.centers.mean(0)
    # Sorted along a spiral of the golden angle.
    height = 1 - (2 * torch.arange(count) + 1) / count
    turn = torch.arange(count) * GOLDEN_ANGLE
    around = (1 - height.square()).sqrt()
    directions = torch.stack([around * turn.cos(), around * turn.sin(), height], dim=1)
    reach = (torch.cat([points, cameras.centers]) - center).norm(dim=-1)
    sphere = center + SKY_DISTANCE * reach.quantile(SKY_POINTS) * directions
    limit = points.new_tensor([cameras.width, cameras.height])
    seen = torch.zeros(count, dtype=torch.bool)
    for view in range(len(cameras)):
        positions, depth = (result[0] for result in cameras[view : view + 1].project(sphere))
        # A little beyond the border: Gaussians are wide.
        inside = ((positions > -SKY_BORDER * limit) & (positions < (1 + SKY_BORDER) * limit)).all(-1)
        seen |= (depth > 0) & inside
    kept: Tensor = sphere[seen]
    return kept


def _random_points(scene: Scene, count: int, generator: torch.Generator) -> Tensor:
    """Points (count, 3), evenly spread over the cells of the visual hull, or over the box."""
    drawn = torch.rand(count, 3, generator=generator)
    if scene.alpha is None:
        return 2 * drawn - 1
    train = scene.indices("train")
    kept = visual_hull_cells(scene.cameras, scene.alpha, views=train, resolution=HULL_RESOLUTION)
    cells = kept.view((HULL_RESOLUTION,) * 3).nonzero()
    if len(cells) == 0:
        return 2 * drawn - 1
    cell = cells[torch.randint(len(cells), (count,), generator=generator)]
    return (cell + drawn) * (2 / HULL_RESOLUTION) - 1
