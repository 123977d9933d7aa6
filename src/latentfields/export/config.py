"""Configurations of exports. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from latentfields.config.checks import Checked, Range

Shown = Literal["rgb", "latents", "depth", "opacity"]
"""What of a view is written: pictures, or one of the arrays of `export_views`."""
ViewsFormat = Literal["safetensors", "npy"]
"""Files of arrays: one of safetensors, or one of NumPy for each."""

Up = Literal["auto", "x", "-x", "y", "-y", "z", "-z"]
"""An axis, or the one that the cameras say."""

Resolution = Annotated[int, Range(low=8, high=1024)]
"""Cells along a side of the scene's cube: enough to see something, and few enough for memory."""


@dataclass(frozen=True, kw_only=True)
class MeshConfig(Checked):
    """Extraction of a surface from a field's density."""

    resolution: Resolution = 256
    """Cells along each side of the scene's cube that marching cubes works on, 8 to 1024; time and memory grow with its
    cube, but only cells that the field occupies are looked at."""
    threshold: Annotated[float | None, Range(above=0)] = None
    """Density of the surface, per unit length of the normalised frame, where the scene's cube has the side 2; by
    default half the median density at the depths that the training views show."""
    views: int = 64
    """Training views, evenly spread, that are decoded to colour the vertices."""
    texture: Annotated[int | None, Range(low=16, high=8192)] = None
    """Side in pixels, 16 to 8192, of a texture that is painted from the views, in place of colours of vertices; for
    .glb and .obj. Unwrapping takes long for many triangles: with --resolution 96 the texture still has the detail of
    the pictures. Needs the extra `texture`."""
    up: Up = "auto"
    """Axis of the capture that points up, for .glb, where y is up: the mesh is turned so, by a rotation of its node;
    by default the axis that is up in the pictures, or their mean direction where no axis is within 25 degrees."""


@dataclass(frozen=True, kw_only=True)
class PointsConfig(Checked):
    """Extraction of points from rendered depth."""

    resolution: Resolution = 256
    """Voxels along each side of the scene's cube, 8 to 1024; the points in each are merged to their mean."""
    stride: int = 2
    """Pixels between neighbouring points of a view, along one side."""
    views: int = 64
    """Training views, evenly spread, whose depth is rendered."""
