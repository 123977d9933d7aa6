"""A surface with a texture: unwrapped onto a square by xatlas, an extra, and painted texel by texel from decoded views.

Shape suffixes: V vertices, W vertices with those at seams once for each side, F triangles, S side of the texture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.export.surface import Surface
from latentfields.export.vertex_colors import as_bytes, blend_at, ray_tracer

Floats = NDArray[np.float64]

PADDING = 2
"""Texels between charts, so that interpolation does not mix them."""


@dataclass(frozen=True, eq=False)
class Unwrapped:
    """Places of a surface's triangles on a square."""

    source: NDArray[np.int64]
    """(W,) for every vertex, the one of the surface that it is."""
    faces: NDArray[np.int32]
    """(F, 3) indices of these vertices, triangles in the surface's order."""
    uv: Floats
    """(W, 2) in [0, 1], the first to the right and the second up."""


def require_xatlas() -> None:
    """Raise InputError when xatlas, an extra, is not installed."""
    try:
        import xatlas  # noqa: F401
    except ImportError:
        raise InputError(
            "texture", "needs xatlas; install it with: pip install 'latentfields[texture]'"
        ) from None


def unwrap(surface: Surface, *, side: int) -> Unwrapped:
    """Charts of a surface, packed for a texture of `side` texels. Raises InputError when xatlas is not installed."""
    require_xatlas()
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(surface.vertices.astype(np.float32), surface.faces.astype(np.uint32))
    packing = xatlas.PackOptions()
    packing.resolution, packing.padding = side, PADDING
    atlas.generate(xatlas.ChartOptions(), packing)
    source, faces, uv = atlas[0]
    return Unwrapped(source.astype(np.int64), faces.astype(np.int32), uv.astype(np.float64))


def paint(
    surface: Surface,
    unwrapped: Unwrapped,
    colors: NDArray[np.uint8],
    cameras: Cameras,
    images: Tensor,
    opacity: Tensor,
    *,
    slack: float,
    side: int,
) -> NDArray[np.uint8]:
    """The texture (S, S, 3) of an unwrapped surface, sRGB, its first row on top, where the second coordinate is 1.

    Texels are coloured as vertices are (`vertex_colors.blend_views`, whose arguments these are); what no view shows has
    the `colors` (V, 3) of the vertices around it, and texels beside charts that of the nearest one in them.
    """
    row, column, face, weights = _texels(unwrapped, side)
    corners = surface.faces[face]
    points = np.einsum("pk,pkc->pc", weights, surface.vertices[corners])
    normals = np.einsum("pk,pkc->pc", weights, surface.normals()[corners])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    seen, known = blend_at(surface, points, normals, cameras, images, opacity, slack=slack)
    around = torch.from_numpy(np.einsum("pk,pkc->pc", weights, colors[corners] / 255.0)).float()
    texture = np.zeros((side, side, 3), np.uint8)
    texture[row, column] = as_bytes(torch.where(known[:, None], seen, around))
    inside = np.zeros((side, side), np.bool_)
    inside[row, column] = True
    return _bled(texture, inside)


def _texels(
    unwrapped: Unwrapped, side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Floats]:
    """Row, column, triangle and barycentric coordinates (P, 3) of the texels whose centres lie in a chart."""
    flat = np.concatenate([unwrapped.uv, np.zeros((len(unwrapped.uv), 1))], axis=1)
    centres = (np.arange(side) + 0.5) / side
    across, up = np.meshgrid(centres, centres[::-1])
    origins = np.stack([across.ravel(), up.ravel(), np.ones(side * side)], axis=1).astype(np.float32)
    down = np.broadcast_to(np.array([0, 0, -1], np.float32), origins.shape).copy()
    found = ray_tracer(flat, unwrapped.faces).run(origins, down, output=True)
    hit = np.flatnonzero(found["primID"] >= 0)
    first, second = found["u"][hit].astype(np.float64), found["v"][hit].astype(np.float64)
    weights = np.stack([1 - first - second, first, second], axis=1)
    return hit // side, hit % side, found["primID"][hit].astype(np.int64), weights


def _bled(texture: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The texture with every texel outside of charts as the nearest one inside of one."""
    from scipy.ndimage import distance_transform_edt  # Nothing else of an export needs SciPy.

    if not inside.any():
        return texture
    row, column = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    nearest: NDArray[np.uint8] = texture[row, column]
    return nearest
