"""Triangle arrays: grids, normals, and the mesh of one part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentfields.scenes.objects.meshes import Material, Mesh

Array = NDArray[np.float64]


def part(vertices: Array, faces: NDArray[np.int64], normals: Array, uv: Array, material: Material) -> Mesh:
    """A mesh of one material from arrays (V, 3), (F, 3), (V, 3) and (V, 2)."""
    return Mesh(
        name="part",
        vertices=vertices.astype(np.float32),
        faces=faces.astype(np.int32),
        normals=normals.astype(np.float32),
        uv=uv.astype(np.float32),
        colors=np.ones((len(vertices), 4), np.float32),
        material_of_face=np.zeros(len(faces), np.int32),
        materials=(material,),
    )


def smooth_normals(vertices: Array, faces: NDArray[np.int64]) -> Array:
    """(V, 3) vertex normals, not of unit length: the sum of the faces' normals, weighted by area."""
    corner = vertices[faces]
    weighted = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    normals = np.zeros_like(vertices)
    for column in range(3):
        np.add.at(normals, faces[:, column], weighted)
    return normals


def unit_vectors(vectors: Array) -> Array:
    """Vectors (..., 3) at unit length; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Array = vectors / np.maximum(length, 1e-12)
    return unit


def grid_triangles(rows: int, columns: int) -> NDArray[np.int64]:
    """(F, 3) triangles of a grid whose vertices are numbered row by row."""
    corner = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    return np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
