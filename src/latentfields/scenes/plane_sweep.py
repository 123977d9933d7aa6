"""A coarse plane sweep that finds the things that views share, for captures without points and alpha.

Collins 1996, "A space-sweep approach to true multi-image matching": each pixel of a view is put on planes across its
axis, one depth after the other, and looked up in neighbouring views; at the depth of the surface their colours agree.
Pictures are small and planes are few: a scene is placed by the result, nothing is reconstructed.

Shape suffixes: N views, D planes, h, w size of the small pictures, P points.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.scenes.selection import evenly_spread

_SIDE = 64
"""Longer side in pixels of the pictures that are compared."""
_REFERENCES = 8
"""Views whose depth is looked for."""
_RANKS = (1, 2, 3, 5, 8)
"""Neighbours of a view, by distance: near ones share most, far ones tell depths apart."""
_PLANES = 64
_LARGEST_SHIFT = 0.6
"""Share of the picture's side by which the nearest plane moves between a view and its nearest neighbour."""
_SMALLEST_SHIFT = 0.75
"""Pixels by which the farthest plane moves between a view and its farthest neighbour."""
_PATCH = 5
"""Side of the squares of pixels that are compared."""
_DIFFERENCE = 0.2
"""Differences of colours count at most this, of 1: what hides in a neighbour does not decide."""
_AGREEMENT = 0.04
"""Colours agree when they differ by less, of 1."""
_DISTINCT = 0.6
"""Differences at the depth that is found, over those at most other depths."""
_TEXTURE = 0.01
"""Where other depths differ by less, of 1, pictures have nothing to tell depths by."""
_SHARE = 0.02
"""Share of the pixels whose depth has to be found."""


def shared_points(cameras: Cameras, pixels: Tensor, *, views: Tensor) -> Tensor | None:
    """Points (P, 3) float64 in the world that several of the `views` show alike, or None where too few are found.

    `cameras` are float64, `pixels` (N, 3, H, W) uint8.
    """
    if len(views) < 2:
        return None
    scale = min(1.0, _SIDE / max(cameras.width, cameras.height))
    small = cameras[views].resized(
        width=max(2, round(scale * cameras.width)), height=max(2, round(scale * cameras.height))
    )
    pictures = torch.cat(
        [
            torch.nn.functional.interpolate(
                pixels[chunk].float() / 255,
                size=(small.height, small.width),
                mode="bilinear",
                antialias=True,
                align_corners=False,
            )
            for chunk in views.split(8)
        ]
    )
    references = evenly_spread(torch.arange(len(views)), _REFERENCES)
    found = [_surface(small, pictures, int(index)) for index in references]
    points = torch.cat(found)
    enough = _SHARE * len(references) * small.width * small.height
    return points if len(points) >= enough else None


def _surface(cameras: Cameras, pictures: Tensor, reference: int) -> Tensor:
    """Points (P, 3) in the world that one view shares with its neighbours."""
    distances = (cameras.centers - cameras.centers[reference]).norm(dim=-1)
    alike = cameras.forward @ cameras.forward[reference] > 0.5
    order = [int(i) for i in distances.argsort() if distances[i] > 0 and alike[i]]
    neighbours = [order[rank - 1] for rank in _RANKS if rank <= len(order)]
    if not neighbours:
        return cameras.centers.new_zeros(0, 3)
    focal = float(cameras.focal[reference].mean())
    nearest = focal * float(distances[neighbours[0]]) / (_LARGEST_SHIFT * max(cameras.width, cameras.height))
    farthest = focal * float(distances[neighbours[-1]]) / _SMALLEST_SHIFT
    depths = torch.logspace(0, 1, _PLANES, base=max(farthest / nearest, 2.0), dtype=torch.float64) * nearest
    # Pixels on every plane, (D, h, w, 3).
    rays = cameras[reference : reference + 1].rays()
    cosine = (rays.directions[0] @ cameras.forward[reference])[..., None]
    directions = rays.directions[0] / cosine
    planes = cameras.centers[reference] + depths[:, None, None, None] * directions
    difference = torch.zeros(_PLANES, cameras.height, cameras.width)
    seen = torch.zeros_like(difference)
    for neighbour in neighbours:
        shown, inside = _looked_up(cameras[neighbour : neighbour + 1], pictures[neighbour], planes)
        apart = (shown - pictures[reference][:, None]).abs().mean(dim=0).clamp(max=_DIFFERENCE)
        difference += torch.where(inside, apart, 0.0)
        seen += inside
    total, count = _patches(difference), _patches(seen)
    # Two neighbours have to see a place, where there are two: with one, everything agrees with something.
    visible = count >= 0.9 * min(2, len(neighbours))
    cost = torch.where(visible, total / count.clamp(min=1e-6), torch.inf)
    best, plane = cost.min(dim=0)
    usual = torch.where(visible, cost, torch.nan).nanmedian(dim=0).values
    # The first and the last plane stand for all that is nearer or farther.
    between = (plane > 0) & (plane < _PLANES - 1)
    certain = between & (best < _AGREEMENT) & (best < _DISTINCT * usual) & (usual > _TEXTURE)
    points: Tensor = (cameras.centers[reference] + depths[plane][..., None] * directions)[certain]
    return points


def _looked_up(camera: Cameras, picture: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (3, D, h, w) of a `picture` (3, h, w) at points (D, h, w, 3), and whether they are in it."""
    positions, depth = (result[0] for result in camera.project(points.reshape(-1, 3)))
    limit = positions.new_tensor([camera.width, camera.height])
    inside = (depth > 0) & (positions >= 0).all(-1) & (positions <= limit).all(-1)
    grid = (2 * positions / limit - 1).float().view(1, len(points), -1, 2)
    colors = torch.nn.functional.grid_sample(picture[None], grid, padding_mode="border", align_corners=False)
    return colors[0].view(3, *points.shape[:3]), inside.view(points.shape[:3])


def _patches(maps: Tensor) -> Tensor:
    """Means (D, h, w) over squares around each pixel."""
    return torch.nn.functional.avg_pool2d(
        maps[:, None], _PATCH, stride=1, padding=_PATCH // 2, count_include_pad=False
    )[:, 0]
