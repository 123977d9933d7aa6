"""What the sparse points of a capture say of a fit: where they and the cameras are, and whether fog hides them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.reading import Bounds
from latentfields.scenes.scene import Scene
from latentfields.scenes.sightings import sightings

FOG = 0.6
"""Depth over that of a point from which on nothing stands in front of it. Poses and points are off by less."""
FOGGY = 0.2
"""Share of such points from which on it is worth a word: of a good fit it is a tenth, as some points are wrong."""


def share_inside(positions: Tensor) -> float:
    """The share of positions (N, 3) that lie in the cube [-1, 1]^3."""
    return float((positions.abs().amax(dim=-1) <= 1).float().mean())


@dataclass(frozen=True)
class CaptureCheck:
    """Shares from 0 to 1."""

    cameras_inside: float
    """Of all cameras: those that stand in the cube [-1, 1]^3."""
    points_outside: float
    """Of all sparse points: those that lie outside of it."""
    points_in_fog: float
    """Of the points that test views see: those before which the rendered depth ends, at less than 0.6 of theirs."""


SHARES = tuple(share.name for share in fields(CaptureCheck))
"""What `metrics.json` calls them."""


class FogCounter:
    """Counts, over batches of views, the sparse points before which something is rendered."""

    def __init__(self, points: Tensor, *, near: float) -> None:
        """`points` (P, 3) and `near` in the normalised frame."""
        self._points = points
        self._near = near
        self._seen = 0
        self._hidden = 0

    def add(self, cameras: Cameras, seen: Rendering) -> None:
        """Count the points in pictures (B, C, h, w) of the cameras, which may have more pixels."""
        found = sightings(cameras, self._points, near=self._near)
        factor = cameras.width / seen.depth.shape[-1]
        column, row = (found.positions / factor).long().unbind(-1)
        depth = seen.depth[found.views, 0, row, column]
        self._seen += len(found.views)
        self._hidden += int((depth < FOG * found.distances).sum())

    @property
    def share(self) -> float:
        """The share of those that any view sees; zero where none does."""
        return self._hidden / self._seen if self._seen else 0.0


def check_capture(scene: Scene, fog: FogCounter) -> dict[str, float]:
    """What `metrics.json` has of a `CaptureCheck`, once the points of all test views are counted."""
    assert scene.points is not None
    found = CaptureCheck(
        cameras_inside=share_inside(scene.cameras.centers),
        points_outside=1 - share_inside(scene.points),
        points_in_fog=fog.share,
    )
    return asdict(found)


def advice(check: Mapping[str, float], *, field: str, bounds: Bounds) -> list[str]:
    """Return what is wrong with the fit of a capture, and what helps, in sentences; none where nothing is known."""
    found = []
    fog = check["points_in_fog"]
    if fog >= FOGGY:
        found.append(
            f"Fog: before {fog:.0%} of the sparse points in test views, something is rendered at less than {FOG} of "
            f"their distance. {_against_fog(field)}."
        )
    # Of a box made around the points themselves, only outliers lie outside.
    if bounds == "object" and check["points_outside"] >= FOGGY:
        found.append(
            f"{check['points_outside']:.0%} of the sparse points lie outside of the box, where the field has nothing: "
            "bounds 'scene' cover all space."
        )
    return found


def _against_fog(field: str) -> str:
    if field == "gaussians":
        return "Poses that are off look like that, and too few views"
    return "The field 'gaussians' has less of it; so has a weight for the depth of points (point_depth_weight 0.1)"
