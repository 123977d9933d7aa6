"""Surfaces as triangles: marching cubes (Lorensen and Cline 1987) by scikit-image, and normals of vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentfields.errors import ArgumentError, InputError
from latentfields.export.density_lattice import DensityLattice

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles whose corners are counter-clockwise seen from outside."""

    vertices: Floats
    """(V, 3) positions."""
    faces: NDArray[np.int32]
    """(F, 3) indices of vertices."""

    def normals(self) -> Floats:
        """(V, 3) unit normals, pointing outwards: the mean of a vertex's triangles, weighted by their areas."""
        corners = self.vertices[self.faces]
        doubled = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        summed = np.stack(
            [
                np.bincount(
                    self.faces.ravel(), weights=np.repeat(doubled[:, axis], 3), minlength=len(self.vertices)
                )
                for axis in range(3)
            ],
            axis=1,
        )
        normals: Floats = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-30)
        return normals


def require_marching_cubes() -> None:
    """Raise InputError when scikit-image, an extra, is not installed."""
    try:
        import skimage.measure  # noqa: F401
    except ImportError:
        raise InputError(
            "mesh", "needs scikit-image; install it with: pip install 'latentfields[export]'"
        ) from None


def extract_surface(lattice: DensityLattice, *, threshold: float) -> Surface:
    """The surface, in the normalised frame, where the density is `threshold`: closed, also at the lattice's border.

    Raises InputError when the density reaches the threshold nowhere, or scikit-image is not installed.
    """
    require_marching_cubes()
    from skimage.measure import marching_cubes

    highest = float(lattice.density.max())
    if not highest > threshold:
        raise ArgumentError(
            "threshold", f"is {threshold:.4g}, but the density is nowhere above {highest:.4g}"
        )
    vertices, faces, _, _ = marching_cubes(
        np.pad(lattice.density, 1), level=threshold, gradient_direction="ascent"
    )
    return Surface(lattice.lower + lattice.step * (vertices.astype(np.float64) - 1), faces.astype(np.int32))
