"""Curves in space: splines, circles, and normals that follow them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from latentfields.scenes.procedural.triangles import Array, unit_vectors


def smooth_curve(control: ArrayLike, count: int) -> Array:
    """`count` points on the Catmull-Rom spline through control points (K, D), ends included."""
    points = np.asarray(control, dtype=np.float64)
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    position = np.linspace(0, len(points) - 1, count)
    segment = np.minimum(position.astype(int), len(points) - 2)
    t = (position - segment)[:, None]
    p0, p1, p2, p3 = (padded[segment + offset] for offset in range(4))
    curve: Array = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * (p1 - p2) + p3 - p0) * t**3
    )
    return curve


def transported_normals(tangent: Array) -> Array:
    """Unit normals (K, 3) along a curve with unit tangents (K, 3): near z at first, then turning least."""
    up = np.array([0.0, 0.0, 1.0]) if abs(tangent[0, 2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    normal = unit_vectors(up - tangent[0] * (tangent[0] @ up))
    normals = [normal]
    for direction in tangent[1:]:
        normal = unit_vectors(normal - direction * (direction @ normal))
        normals.append(normal)
    return np.array(normals)


def level_circle(radius: float, height: float) -> Array:
    """A closed circle (49, 3) about the z axis at `height`."""
    turn = np.linspace(0, 2 * np.pi, 49)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), np.full(49, height)], axis=1)


def upright_circle(radius: float, height: float) -> Array:
    """A closed circle (49, 3) in the x-z plane about (0, 0, height)."""
    return level_circle(radius, 0.0)[:, [0, 2, 1]] + [0, 0, height]


def angles(segments: int) -> Array:
    """(segments,) angles of a lathe's columns in radians."""
    return np.linspace(0, 2 * np.pi, segments, endpoint=False)
