"""Colours of points on a surface, such as its vertices, blended from decoded views.

A view counts for a point that it shows: inside the picture and not behind another part of the surface. Among those,
views that look straight at the surface count most, and those with nothing but surface around. Shape suffixes: V
vertices, P points, N views, H, W picture size, h, w size of rendered features.
"""

from __future__ import annotations

import numpy as np
import torch
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.export.surface import Surface

SHARPNESS = 4
"""Power of the cosine between normal and view that weighs a view: high, since slanted views are blurred."""

BESIDE_BACKGROUND = 1e-3
"""Weight of a view in which background is next to the vertex, relative to others: the decoder mixes what is next to
each other, so such a view only counts where there is no other."""


def blend_views(
    surface: Surface, cameras: Cameras, images: Tensor, opacity: Tensor, *, slack: float
) -> NDArray[np.uint8]:
    """Colours (V, 3) of the vertices from images (N, 3, H, W) in [0, 1], sRGB, of `cameras` in the surface's frame.

    `opacity` (N, 1, h, w) is as rendered with the images. `slack` is how far behind the surface a vertex may seem to
    lie and still be seen. Vertices that no view shows take the mean of their neighbours, from the nearest coloured
    ones inwards; parts without any are grey.
    """
    colors, known = blend_at(
        surface, surface.vertices, surface.normals(), cameras, images, opacity, slack=slack
    )
    return as_bytes(_spread(colors, known, torch.from_numpy(surface.faces).long()))


def blend_at(
    surface: Surface,
    points: NDArray[np.float64],
    directions: NDArray[np.float64],
    cameras: Cameras,
    images: Tensor,
    opacity: Tensor,
    *,
    slack: float,
) -> tuple[Tensor, Tensor]:
    """Colours (P, 3) of points (P, 3) on a surface with unit normals (P, 3), and which of them (P,) any view shows.

    Everything else as for `blend_views`; colours of points that no view shows are zero.
    """
    vertices, normals = torch.from_numpy(points).float(), torch.from_numpy(directions).float()
    total, weights = torch.zeros(len(vertices), 3), torch.zeros(len(vertices))
    scene = ray_tracer(surface.vertices, surface.faces)
    inner = -torch.nn.functional.max_pool2d(-opacity, 3, stride=1, padding=1)
    for index in range(len(cameras)):
        camera = cameras[index : index + 1]
        toward = torch.nn.functional.normalize(camera.centers - vertices, dim=1)
        facing = (normals * toward).sum(1)
        positions, depth = (values[0] for values in camera.project(vertices))
        inside = ((positions >= 0) & (positions <= positions.new_tensor([camera.width, camera.height]))).all(
            1
        )
        shown = (inside & (depth > 0) & (facing > 0)).nonzero()[:, 0]
        shown = shown[_unoccluded(scene, camera.centers[0], vertices[shown], slack)]
        places = positions[shown] / positions.new_tensor([camera.width, camera.height])
        weight = facing[shown] ** SHARPNESS * (BESIDE_BACKGROUND + _values_at(inner[index], places)[:, 0])
        total[shown] += weight[:, None] * _values_at(images[index], places)
        weights[shown] += weight
    return total / weights.clamp(min=1e-12)[:, None], weights > 0


def as_bytes(colors: Tensor) -> NDArray[np.uint8]:
    """Colours in [0, 1] as 0 to 255."""
    return (255 * colors).round().clamp(0, 255).byte().numpy()


def ray_tracer(vertices: NDArray[np.float64], faces: NDArray[np.int32]) -> EmbreeScene:
    """Triangles, corners (V, 3) and indices (F, 3), prepared for rays."""
    scene = EmbreeScene()
    # The handle adds itself to the scene.
    TriangleMesh(scene, vertices.astype(np.float32), np.ascontiguousarray(faces))
    return scene


def _unoccluded(scene: EmbreeScene, center: Tensor, vertices: Tensor, slack: float) -> Tensor:
    """Mask (V,) of the vertices (V, 3) that nothing hides from a camera's centre (3,)."""
    distance = (vertices - center).norm(dim=1)
    directions = (vertices - center) / distance[:, None]
    origins = center.expand_as(vertices).contiguous()
    found = scene.run(origins.numpy(), directions.numpy(), output=True)
    # A ray may slip between the triangles at its vertex: what it hits behind, or nothing, hides nothing.
    nearest = torch.from_numpy(np.where(found["primID"] >= 0, found["tfar"], np.inf))
    unoccluded: Tensor = nearest >= distance - slack
    return unoccluded


def _values_at(picture: Tensor, places: Tensor) -> Tensor:
    """Values (V, C) of a picture (C, H, W), bilinear, at (V, 2) positions in it between 0 and 1."""
    grid = (2 * places - 1).view(1, 1, -1, 2)
    sampled = torch.nn.functional.grid_sample(picture[None], grid, padding_mode="border", align_corners=False)
    return sampled[0, :, 0].T


def _spread(colors: Tensor, known: Tensor, faces: Tensor) -> Tensor:
    """Colours (V, 3) with those that are not `known` (V,) filled in from neighbours, ring by ring."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    start, end = torch.cat([edges, edges.flip(1)]).unbind(1)
    while not known.all():
        useful = known[start] & ~known[end]
        if not useful.any():
            break
        total = torch.zeros_like(colors).index_add(0, end[useful], colors[start[useful]])
        count = torch.zeros(len(colors)).index_add(0, end[useful], torch.ones(int(useful.sum())))
        reached = count > 0
        colors = torch.where(reached[:, None], total / count.clamp(min=1)[:, None], colors)
        known = known | reached
    return torch.where(known[:, None], colors, torch.full_like(colors, 0.5))
