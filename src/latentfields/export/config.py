"""How scenes are exported. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass

from latentfields.errors import InputError

MAX_RESOLUTION = 1024


@dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """How a surface is taken from a field's density."""

    resolution: int = 256
    """Cells along each side of the scene's cube that marching cubes works on, 8 to 1024; time and memory grow with its
    cube, but only cells that the field occupies are looked at."""
    threshold: float | None = None
    """Density of the surface, per unit length of the normalised frame, where the scene's cube has the side 2; by
    default half the median density at the depths that the training views show."""
    views: int = 64
    """Training views, evenly spread, that are decoded to colour the vertices."""

    def check(self) -> None:
        """Raise InputError for the first option that cannot be."""
        check_resolution(self.resolution)
        check_views(self.views)
        if self.threshold is not None and not 0 < self.threshold < float("inf"):
            raise InputError("--threshold", f"is {self.threshold}; expected more than 0")


@dataclass(frozen=True, kw_only=True)
class PointsConfig:
    """How points are taken from rendered depth."""

    resolution: int = 256
    """Voxels along each side of the scene's cube, 8 to 1024; the points in each are merged to their mean."""
    stride: int = 2
    """Pixels between neighbouring points of a view, along one side."""
    views: int = 64
    """Training views, evenly spread, whose depth is rendered."""

    def check(self) -> None:
        """Raise InputError for the first option that cannot be."""
        check_resolution(self.resolution)
        check_views(self.views)
        if self.stride < 1:
            raise InputError("--stride", f"is {self.stride}; expected at least 1")


def check_resolution(resolution: int) -> None:
    """Raise InputError unless a grid of so many cells a side makes sense and fits into memory."""
    if not 8 <= resolution <= MAX_RESOLUTION:
        raise InputError("--resolution", f"is {resolution}; expected 8 to {MAX_RESOLUTION}")


def check_views(views: int) -> None:
    """Raise InputError for no views."""
    if views < 1:
        raise InputError("--views", f"is {views}; expected at least 1")
