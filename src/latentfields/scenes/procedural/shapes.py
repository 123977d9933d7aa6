"""Building blocks of procedural objects with texture coordinates: lathes, sweeps, rounded boxes and plates.

Lengths are arbitrary (objects are normalised later); z is up.
Shape suffixes: M rows, N columns, K curve points.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.procedural.curves import angles, transported_normals
from latentfields.scenes.procedural.triangles import Array, grid_triangles, part, smooth_normals, unit_vectors


def grid_surface(points: Array, *, wrap: bool, material: Material) -> Mesh:
    """A smooth surface through a grid of points (M, N, 3); `wrap` joins the last column to the first.

    Texture u runs along the columns and v, by arc length, along the rows. Two equal rows make a crease.
    """
    if wrap:
        points = np.concatenate([points, points[:, :1]], axis=1)
    rows, columns = points.shape[:2]
    faces = grid_triangles(rows, columns)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2).mean(axis=1)
    v = np.concatenate([[0.0], np.cumsum(steps)]) / max(steps.sum(), 1e-12)
    u = np.linspace(0, 1, columns)
    uv = np.stack(np.broadcast_arrays(u[None], v[:, None]), axis=-1).reshape(-1, 2)
    normals = smooth_normals(points.reshape(-1, 3), faces).reshape(rows, columns, 3)
    if wrap:
        normals[:, 0] = normals[:, -1] = normals[:, 0] + normals[:, -1]
    for row in (0, rows - 1):
        if np.ptp(points[row], axis=0).max() < 1e-9:  # a pole: one point, one normal
            normals[row] = normals[row].sum(axis=0)
    return part(points.reshape(-1, 3), faces, unit_vectors(normals.reshape(-1, 3)), uv, material)


def lathe(
    profile: ArrayLike,
    *,
    material: Material,
    segments: int = 56,
    scale: ArrayLike = 1.0,
    lift: ArrayLike = 0.0,
) -> Mesh:
    """A surface of revolution about z of a profile (K, 2) of radii and heights; repeat a point for a crease.

    `scale` multiplies radii and `lift` adds to heights; both broadcast to (K, segments): flutes, folds,
    wavy brims.
    """
    curve = np.asarray(profile, dtype=np.float64)
    angle = angles(segments)
    radius = curve[:, :1] * np.broadcast_to(scale, (len(curve), segments))
    height = curve[:, 1:] + np.broadcast_to(lift, (len(curve), segments))
    return grid_surface(
        np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=-1),
        wrap=True,
        material=material,
    )


def sweep(
    path: ArrayLike,
    radii: ArrayLike,
    *,
    material: Material,
    segments: int = 14,
    flat: float = 1.0,
    caps: bool = True,
) -> Mesh:
    """A tube along a path (K, 3) with radii broadcast to (K,); `flat` scales the section's second axis.

    The section starts with its first axis as near to z as possible and turns no more than the path does.
    """
    curve = np.asarray(path, dtype=np.float64)
    radius = np.broadcast_to(np.asarray(radii, dtype=np.float64), (len(curve),))
    tangent = unit_vectors(np.gradient(curve, axis=0))
    if caps:
        curve, radius, tangent = _with_round_caps(curve, radius, tangent)
    first = transported_normals(tangent)
    second = np.cross(tangent, first)
    angle = angles(segments)
    section = (
        np.cos(angle)[None, :, None] * first[:, None] + flat * np.sin(angle)[None, :, None] * second[:, None]
    )
    return grid_surface(curve[:, None] + radius[:, None, None] * section, wrap=True, material=material)


def ellipsoid(radii: ArrayLike, *, material: Material, segments: int = 28) -> Mesh:
    """An ellipsoid with semi-axes (3,)."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    profile = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    profile[[0, -1], 0] = 0.0
    return placed(lathe(profile, material=material, segments=segments), scale=radii)


def rounded_box(size: ArrayLike, *, radius: float, material: Material, cells: int = 4) -> Mesh:
    """A box with full sides `size` (3,) and edges rounded by `radius`; every side shows the whole texture."""
    half = np.asarray(size, dtype=np.float64) / 2
    radius = min(radius, 0.999 * half.min())
    vertices: list[Array] = []
    normals: list[Array] = []
    uvs: list[Array] = []
    faces: list[NDArray[np.int64]] = []
    for axis in range(3):
        across, along = [(1, 2), (0, 2), (0, 1)][axis]
        for sign in (-1.0, 1.0):
            first, second = _box_ticks(half[across], radius, cells), _box_ticks(half[along], radius, cells)
            on_box = np.empty((len(second), len(first), 3))
            on_box[..., axis] = sign * half[axis]
            on_box[..., across], on_box[..., along] = first[None], second[:, None]
            inner = np.clip(on_box, -(half - radius), half - radius)
            normal = unit_vectors((on_box - inner).reshape(-1, 3))
            faces.append(grid_triangles(len(second), len(first)) + sum(len(block) for block in vertices))
            vertices.append(inner.reshape(-1, 3) + radius * normal)
            normals.append(normal)
            unit = (on_box[..., [across, along]] / half[[across, along]] + 1) / 2
            # Mirror the far sides so that lettering reads the right way round.
            if (axis, sign) in ((0, -1.0), (1, 1.0), (2, -1.0)):
                unit[..., 0] = 1 - unit[..., 0]
            uvs.append(unit.reshape(-1, 2))
    return part(
        np.concatenate(vertices),
        np.concatenate(faces),
        np.concatenate(normals),
        np.concatenate(uvs),
        material,
    )


def plate(outline: ArrayLike, *, thickness: float, material: Material) -> Mesh:
    """A flat plate in the x-z plane, `thickness` along y, whose outline (K, 2) is star-shaped about its
    mean.
    """
    ring = np.asarray(outline, dtype=np.float64)
    count = len(ring)
    low, extent = ring.min(axis=0), np.ptp(ring, axis=0)
    flat = np.concatenate([ring, ring.mean(axis=0, keepdims=True)])
    uv = (flat - low) / extent
    fan = np.stack([np.arange(count), (np.arange(count) + 1) % count, np.full(count, count)], axis=1)
    sides = []
    for sign in (-1.0, 1.0):
        points = np.stack([flat[:, 0], np.full(count + 1, sign * thickness / 2), flat[:, 1]], axis=1)
        normal = np.tile([0.0, sign, 0.0], (count + 1, 1))
        sides.append(part(points, fan, normal, uv, material))
    edge = np.concatenate([ring, ring[:1]])
    wall = np.stack(
        [np.stack([edge[:, 0], np.full(count + 1, s * thickness / 2), edge[:, 1]], 1) for s in (-1, 1)]
    )
    rim = grid_surface(wall, wrap=False, material=material)
    rim_uv = (np.concatenate([edge, edge]) - low) / extent
    return joined([*sides, replace(rim, uv=rim_uv.astype(np.float32), normals=np.zeros_like(rim.normals))])


def placed(
    mesh: Mesh, *, move: ArrayLike = 0.0, turn: ArrayLike = (0.0, 0.0, 0.0), scale: ArrayLike = 1.0
) -> Mesh:
    """The mesh scaled per axis, then turned by degrees about x, y and z in this order, then moved."""
    factors = np.broadcast_to(np.asarray(scale, dtype=np.float64), (3,))
    x, y, z = (
        _axis_rotation(axis, degrees) for axis, degrees in enumerate(np.asarray(turn, dtype=np.float64))
    )
    rotation = z @ y @ x
    vertices = (mesh.vertices * factors) @ rotation.T + np.asarray(move)
    normals = unit_vectors((mesh.normals / factors) @ rotation.T)
    return replace(mesh, vertices=vertices.astype(np.float32), normals=normals.astype(np.float32))


def joined(meshes: list[Mesh]) -> Mesh:
    """One mesh from parts that share a single material object."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])[:-1]
    return replace(
        meshes[0],
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate(
            [mesh.faces + np.int32(offset) for mesh, offset in zip(meshes, offsets, strict=True)]
        ),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        uv=np.concatenate([mesh.uv for mesh in meshes]),
        colors=np.concatenate([mesh.colors for mesh in meshes]),
        material_of_face=np.concatenate([mesh.material_of_face for mesh in meshes]),
    )


def _box_ticks(half: float, radius: float, cells: int) -> Array:
    """Grid lines along a box side: dense in the rounded edges, one step across the flat middle."""
    # The tangent spaces the rounded part evenly in angle.
    edge = half - radius + radius * np.tan(np.linspace(0, np.pi / 4, cells))
    return np.concatenate([-edge[::-1], edge])


def _with_round_caps(curve: Array, radius: Array, tangent: Array) -> tuple[Array, Array, Array]:
    """Extra rings that close both ends of a tube with half ellipsoids."""
    turn = np.linspace(0, np.pi / 2, 5)[1:]
    ahead, shrink = 0.8 * np.sin(turn)[:, None], np.cos(turn)
    shrink[-1] = 0.0
    start = (curve[0] - ahead * radius[0] * tangent[0])[::-1]
    end = curve[-1] + ahead * radius[-1] * tangent[-1]
    return (
        np.concatenate([start, curve, end]),
        np.concatenate([radius[0] * shrink[::-1], radius, radius[-1] * shrink]),
        np.concatenate([np.repeat(tangent[:1], 4, 0), tangent, np.repeat(tangent[-1:], 4, 0)]),
    )


def _axis_rotation(axis: int, degrees: float) -> Array:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rotation = np.eye(3)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    rotation[i, i] = rotation[j, j] = cosine
    rotation[i, j], rotation[j, i] = -sine, sine
    return rotation
