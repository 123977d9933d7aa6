"""Textured triangle meshes: the geometry and the surface colours that the mesh renderer needs.

The world frame is right-handed with z up. Shape suffixes: V vertices, F faces.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latentfields.errors import InputError
from latentfields.scenes.objects.textures import REPEATED, Wraps

MAX_FACES = 500_000

AlphaMode = Literal["opaque", "mask", "blend"]


@dataclass(frozen=True, eq=False)
class Material:
    """The appearance of a surface: base colour and emission, each a factor times an optional texture."""

    color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    """Linear RGBA factor in [0, 1]."""
    texture: NDArray[np.uint8] | None = None
    """(height, width, 4) RGBA, sRGB colours, straight alpha, or None for white."""
    wraps: Wraps = REPEATED
    """What the texture shows outside [0, 1]."""
    alpha_mode: AlphaMode = "opaque"
    """How alpha is read: not at all, as a cut-out at `alpha_cutoff`, or as coverage."""
    alpha_cutoff: float = 0.5
    """Alpha below which a "mask" surface is not there."""
    emission: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Linear RGB of light given off."""
    emission_texture: NDArray[np.uint8] | None = None
    """(height, width, 4) like `texture`; multiplies `emission`."""
    emission_wraps: Wraps = REPEATED
    """As `wraps`, of the emission's texture."""


UNCOLORED = Material(color=(0.6, 0.6, 0.6, 1.0))
"""Of surfaces for which a file names no colour."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with per-vertex attributes and one material per face."""

    name: str
    """Short name, used for folders and messages."""
    vertices: NDArray[np.float32] | NDArray[np.float64]
    """(V, 3) positions; float64 in files far from their origin, float32 once normalised."""
    faces: NDArray[np.int32]
    """(F, 3) vertex indices."""
    normals: NDArray[np.float32]
    """(V, 3) unit normals; zero asks for the flat normal of the face."""
    uv: NDArray[np.float32]
    """(V, 2) texture coordinates, origin at the lower left corner of the texture."""
    colors: NDArray[np.float32]
    """(V, 4) linear RGBA in [0, 1] that multiply the material's colour."""
    material_of_face: NDArray[np.int32]
    """(F,) indices into `materials`."""
    materials: tuple[Material, ...] = field(default=(Material(),))
    """The materials in use."""
    emission_uv: NDArray[np.float32] | None = None
    """(V, 2) texture coordinates of the emission's texture; None where they are those of the colour."""

    @property
    def glow_uv(self) -> NDArray[np.float32]:
        """(V, 2) texture coordinates of the emission's texture."""
        return self.uv if self.emission_uv is None else self.emission_uv


def concatenate(name: str, meshes: list[Mesh]) -> Mesh:
    """One mesh from several, materials kept apart."""
    vertex_offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    material_offsets = np.cumsum([0] + [len(mesh.materials) for mesh in meshes])
    return Mesh(
        name=name,
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate(
            [mesh.faces + np.int32(offset) for mesh, offset in zip(meshes, vertex_offsets[:-1], strict=True)]
        ),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        uv=np.concatenate([mesh.uv for mesh in meshes]),
        emission_uv=np.concatenate([mesh.glow_uv for mesh in meshes]),
        colors=np.concatenate([mesh.colors for mesh in meshes]),
        material_of_face=np.concatenate(
            [
                mesh.material_of_face + np.int32(offset)
                for mesh, offset in zip(meshes, material_offsets[:-1], strict=True)
            ]
        ),
        materials=tuple(material for mesh in meshes for material in mesh.materials),
    )


def normalised(mesh: Mesh, *, radius: float) -> Mesh:
    """The mesh moved to its bounding-box centre and scaled so that its farthest vertex lies at `radius`.

    Only vertices that belong to a face count. Raises InputError, naming the mesh, when it has no faces, more
    than `MAX_FACES`, coordinates that are not finite, or no extent.
    """
    if not len(mesh.faces):
        raise InputError(mesh.name, "the mesh has no faces; a renderable mesh needs triangles or polygons")
    if len(mesh.faces) > MAX_FACES:
        raise InputError(
            mesh.name, f"{len(mesh.faces)} faces; at most {MAX_FACES} are supported, decimate it first"
        )
    used = mesh.vertices[np.unique(mesh.faces)].astype(np.float64)
    if not np.isfinite(used).all():
        raise InputError(mesh.name, "vertex positions must be finite numbers, found NaN or infinity")
    center = (used.min(axis=0) + used.max(axis=0)) / 2
    extent = np.linalg.norm(used - center, axis=1).max()
    if not extent > 1e-12 * max(1.0, float(np.abs(center).max())):
        raise InputError(mesh.name, "the mesh has zero extent: all of its vertices coincide")
    vertices = (mesh.vertices.astype(np.float64) - center) * (radius / extent)
    # Vertices that no face uses may hold anything; the ray tracer must not see infinities.
    vertices = np.nan_to_num(vertices, nan=0.0, posinf=0.0, neginf=0.0)
    return replace(mesh, vertices=vertices.astype(np.float32))


def require_corners(faces: NDArray[Any], count: int) -> None:
    """Raise ValueError when `faces` (F, 3), one or more, have a corner that is none of `count` vertices.

    Negative numbers would count from the end in silence.
    """
    if not 0 <= faces.min() <= faces.max() < count:
        raise ValueError(f"a face has a corner that is none of its {count} vertices")


def moved_vertices(vertices: NDArray[Any], transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V, 3) positions under an affine transform (4, 4)."""
    with np.errstate(invalid="ignore", over="ignore"):  # checked when the mesh is normalised
        moved: NDArray[np.float64] = vertices @ transform[:3, :3].T + transform[:3, 3]
    return moved


def moved_normals(normals: NDArray[Any], transform: NDArray[np.float64]) -> NDArray[np.float32]:
    """(V, 3) unit normals under an affine transform (4, 4); zero where they are not usable."""
    with np.errstate(invalid="ignore", over="ignore"):
        normals = np.asarray(normals) @ np.linalg.pinv(transform[:3, :3])
        length = np.linalg.norm(normals, axis=1, keepdims=True)
    usable = np.isfinite(length) & (length > 1e-12)
    return np.where(usable, normals / np.where(usable, length, 1), 0).astype(np.float32)
