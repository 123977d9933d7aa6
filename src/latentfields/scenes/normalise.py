"""The similarity that brings what matters of a scene into [-1, 1]^3, and its distance from the cameras.

Uniform scale and translation only: the axes of the data set are kept. What matters of an object is, in this order, the
visual hull of the training views' alpha channels; the sparse points, less their outliers; what views share, where
cameras all look the same way; or the neighbourhood of the point that the cameras look at. Of a scene without bounds it
is where most of the points are, or of what views share; the rest of space lies around the cube.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.scenes.plane_sweep import shared_points
from latentfields.scenes.reading import Bounds, ChosenBounds
from latentfields.scenes.visual_hull import visual_hull_box

MARGIN = 1.05
"""Half the side of the cube over half the longest side of the box in it."""
MIN_NEAR = 0.02
"""In the normalised frame: where cameras stand inside the scene, near is this."""
_MIN_HALF_SIDE = 1e-9
"""Smaller cubes have no size: all points, or all cameras, are one."""
_OUTLIERS = 0.01
"""Share of the sparse points on each side that is left out of the box and of the range of depths."""
_SWEPT_OUTLIERS = 0.03
"""The same share where points are those of the plane sweep."""
_PARALLEL = 5.0
"""Optical axes are parallel when their directions spread by less, as a root mean square in degrees."""
_CORE = 0.8
"""Share of the points of a scene without bounds that lie in the cube."""
_COMPACT = 1.5
"""Points have an end where all but outliers lie within so many times the reach of that share of them."""
FAR_AWAY = 1e3
"""Far in scenes without bounds, in the normalised frame: the contraction leaves a thousandth of the cube beyond."""
_RANGE_MARGIN = 0.1
"""Near and far are this much wider, as a share, than the distances of the sparse points."""
_LOOK_RADIUS = 0.5
"""Without alpha and points: half the side of the cube, as a share of the cameras' distance from it."""
_CAMERA_PULL = 1e-3
"""Weight of staying near the cameras, beside a weight of at most one for lying on their optical axes."""
_CUBE_CORNER = 3**0.5
"""Distance of the corners of [-1, 1]^3 from its centre."""


@dataclass(frozen=True)
class Normalisation:
    """The similarity into the normalised frame, and the range of distances along rays there."""

    world_to_scene: Tensor
    """(4, 4) float64 similarity: uniform scale and translation."""
    near: float
    far: float
    bounds: Bounds = "object"


def normalise(
    cameras: Cameras,
    *,
    pixels: Tensor,
    train: Tensor,
    alpha: Tensor | None,
    points: Tensor | None,
    bounds: ChosenBounds = "object",
    source: Path,
) -> Normalisation:
    """The normalisation of a scene with float64 `cameras` in the world.

    `bounds` say whether there is anything outside of the cube; auto: not where there is alpha, nor where cameras that
    all look the same way see points that have an end, as those of survey flights do. `train` holds the indices of the
    training views, `pixels` (N, 3, H, W) and `alpha` (N, 1, H, W) the uint8 colours and coverage of all views, `points`
    (P, 3) float64 sparse points in the world. Raises InputError, naming `source`, when no point of space lies in the
    alpha channels of the training views, and when nothing tells where the scene is.
    """
    # The hull is exact where there is alpha. Points show what was matched, outliers too. Cameras alone say least.
    look = look_similarity(cameras)
    # Without alpha and points, what views share says more than where they look.
    swept = alpha is None and points is None and (bounds != "object" or axes_are_parallel(cameras))
    if swept:
        points = shared_points(cameras, pixels, views=train)
        if points is None and axes_are_parallel(cameras):
            raise InputError(
                source,
                "its cameras all look the same way, there are no sparse points, and nothing was found that views "
                "share: the place of the scene is unknown; add points, as COLMAP makes them, or masks",
            )
    if found_bounds(bounds, cameras, transparent=alpha is not None, points=points) == "scene":
        return _unbounded(cameras, look, points)
    if alpha is not None:
        similarity = hull_similarity(cameras, alpha, train=train, look=look, source=source)
    elif points is not None:
        similarity = points_similarity(points, outliers=_SWEPT_OUTLIERS if swept else _OUTLIERS)
    else:
        similarity = look
    seen = cameras.transformed(similarity)
    # Points of a capture reach far behind the cube; an object with alpha is all inside of it.
    if alpha is None and points is not None:
        near, far = points_range(seen, transform_points(similarity, points))
    else:
        near, far = cube_range(seen)
    return Normalisation(world_to_scene=similarity, near=near, far=far)


def found_bounds(
    bounds: ChosenBounds, cameras: Cameras, *, transparent: bool, points: Tensor | None
) -> Bounds:
    """What fields of a scene cover, as `normalise` says it; `transparent` where there is alpha."""
    if bounds != "auto":
        return bounds
    ends = points is not None and axes_are_parallel(cameras) and _is_compact(points)
    return "object" if transparent or ends else "scene"


def _unbounded(cameras: Cameras, look: Tensor, points: Tensor | None) -> Normalisation:
    """The normalisation of a scene without bounds, whose points in the world may be unknown."""
    if points is None:
        return Normalisation(look, near=MIN_NEAR, far=FAR_AWAY, bounds="scene")
    similarity = core_similarity(points)
    near, _ = points_range(cameras.transformed(similarity), transform_points(similarity, points))
    return Normalisation(similarity, near=near, far=FAR_AWAY, bounds="scene")


def transform_points(similarity: Tensor, points: Tensor) -> Tensor:
    """Points (P, 3) after a similarity (4, 4)."""
    return points @ similarity[:3, :3].T + similarity[:3, 3]


def cube_similarity(center: Tensor, half_side: float) -> Tensor:
    """The (4, 4) float64 similarity that takes a cube to [-1, 1]^3; a cube without size keeps its scale."""
    half_side = half_side if half_side > _MIN_HALF_SIDE else 1.0
    similarity = torch.eye(4, dtype=torch.float64)
    similarity[:3, :3] /= half_side
    similarity[:3, 3] = -center / half_side
    return similarity


def look_similarity(cameras: Cameras) -> Tensor:
    """The cube around the point closest to all optical axes, sized by the cameras' distance, to [-1, 1]^3.

    Where the axes do not meet (parallel views, a single camera) the point stays near the cameras.
    """
    centers, forward = cameras.centers, cameras.forward
    middle = centers.mean(0)
    # I - f f^T takes the part across an axis: its squared length is the squared distance from that axis, and the point
    # with the least sum of them solves a linear system.
    across = torch.eye(3, dtype=centers.dtype) - forward[:, :, None] * forward[:, None, :]
    offsets = (across @ (centers - middle)[:, :, None])[..., 0].mean(0)
    # The small pull towards the cameras decides what the axes leave open.
    pull = _CAMERA_PULL * torch.eye(3, dtype=centers.dtype)
    target = middle + torch.linalg.solve(across.mean(0) + pull, offsets)
    # The median: a few views from afar do not make the cube larger.
    distance = float((centers - target).norm(dim=-1).median())
    return cube_similarity(target, _LOOK_RADIUS * distance)


def axes_are_parallel(cameras: Cameras) -> bool:
    """True when the optical axes are too nearly parallel to say where they meet."""
    if len(cameras) < 2:
        return False
    forward = cameras.forward
    mean = torch.nn.functional.normalize(forward.mean(0), dim=0)
    return bool((forward @ mean).clamp(-1, 1).acos().square().mean().sqrt() < math.radians(_PARALLEL))


def points_similarity(points: Tensor, *, outliers: float = _OUTLIERS) -> Tensor:
    """The cube around the points (P, 3), the share `outliers` on each side left out, to [-1, 1]^3."""
    lower, upper = _quantile(points, outliers), _quantile(points, 1 - outliers)
    return _box_similarity(lower, upper)


def core_similarity(points: Tensor) -> Tensor:
    """The cube around the middle of the points (P, 3) that holds most of them, the share `_CORE`, to [-1, 1]^3."""
    center, reach = _reach(points)
    return cube_similarity(center, MARGIN * float(_quantile(reach, _CORE)))


def _reach(points: Tensor) -> tuple[Tensor, Tensor]:
    """The middle (3,) of points (P, 3), and the half side (P,) of the cube around it that each is on."""
    center = points.median(dim=0).values
    return center, (points - center).abs().amax(dim=-1)


def _is_compact(points: Tensor) -> bool:
    """True when the points (P, 3) do not thin out with the distance from their middle, but have an end."""
    _, reach = _reach(points)
    return float(_quantile(reach, 1 - _OUTLIERS)) <= _COMPACT * float(_quantile(reach, _CORE))


def hull_similarity(cameras: Cameras, alpha: Tensor, *, train: Tensor, look: Tensor, source: Path) -> Tensor:
    """The cube around the visual hull of the training views with `alpha` (N, 1, H, W) uint8, to [-1, 1]^3.

    It is searched between the cameras, in the frame of `look`. Raises InputError when there is no hull.
    """
    # Nothing farther out than the cameras can be seen from all around; beyond them a hull would be open.
    around = cameras.transformed(look)
    radius = float(around.centers.norm(dim=-1).max())
    box = visual_hull_box(around, alpha, views=train, radius=radius) if radius > 0 else None
    if box is None:
        raise InputError(
            source,
            "alpha: no point of space lies inside the alpha of the training views; poses or masks are wrong",
        )
    return _box_similarity(box[0].double(), box[1].double()) @ look


def cube_range(cameras: Cameras) -> tuple[float, float]:
    """Near and far for cameras in the normalised frame: where rays meet the sphere around [-1, 1]^3."""
    distance = cameras.centers.norm(dim=-1)
    near = float(distance.min()) - _CUBE_CORNER
    return max(near, MIN_NEAR), float(distance.max()) + _CUBE_CORNER


def points_range(cameras: Cameras, points: Tensor) -> tuple[float, float]:
    """Near and far for cameras and points (P, 3) in the normalised frame, from the points in each picture.

    Each view's nearest and farthest percentile is left out.
    """
    limit = points.new_tensor([cameras.width, cameras.height])
    near, far = float("inf"), 0.0
    # One view after the other: points times views would not fit into memory for large captures.
    for view in range(len(cameras)):
        positions, depth = cameras[view : view + 1].project(points)
        visible = (depth[0] > 0) & ((positions[0] >= 0) & (positions[0] <= limit)).all(-1)
        if visible.any():
            distance = (points[visible] - cameras.centers[view]).norm(dim=-1)
            near = min(near, float(_quantile(distance, _OUTLIERS)))
            far = max(far, float(_quantile(distance, 1 - _OUTLIERS)))
    # No point is in front of any camera: the model and the pictures do not belong together, or it has none.
    if far == 0:
        return cube_range(cameras)
    return max(near * (1 - _RANGE_MARGIN), MIN_NEAR), far * (1 + _RANGE_MARGIN)


def _box_similarity(lower: Tensor, upper: Tensor) -> Tensor:
    return cube_similarity(0.5 * (lower + upper), 0.5 * MARGIN * float((upper - lower).max()))


def _quantile(values: Tensor, share: float) -> Tensor:
    """Along the first dimension; torch.quantile refuses more than 16 million values."""
    index = round(share * (len(values) - 1))
    return values.sort(dim=0).values[index]
