"""Small meshes for the tests of the mesh renderer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from latentfields.cameras import Cameras, look_at
from latentfields.scenes.objects.meshes import Material, Mesh

RED = (1.0, 0.0, 0.0)
BLUE = (0.0, 0.0, 1.0)


def glowing(color: tuple[float, float, float], *, alpha: float = 1.0) -> Material:
    """A material whose colour does not depend on light."""
    return Material(color=(0, 0, 0, alpha), alpha_mode="blend" if alpha < 1 else "opaque", emission=color)


def mesh_of(vertices: object, faces: object, *, material: Material | None = None, uv: object = None) -> Mesh:
    points = np.asarray(vertices, np.float32)
    triangles = np.asarray(faces, np.int32).reshape(-1, 3)
    return Mesh(
        name="sample",
        vertices=points,
        faces=triangles,
        normals=np.zeros_like(points),
        uv=np.zeros((len(points), 2), np.float32) if uv is None else np.asarray(uv, np.float32),
        colors=np.ones((len(points), 4), np.float32),
        material_of_face=np.zeros(len(triangles), np.int32),
        materials=(material or Material(),),
    )


def quad(material: Material, *, half: float = 0.25, z: float = 0.0) -> Mesh:
    """A square in the plane of height z with the texture upright when seen from above with y up."""
    corners = [[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]]
    return mesh_of(corners, [[0, 1, 2], [0, 2, 3]], material=material, uv=[[0, 0], [1, 0], [1, 1], [0, 1]])


def cube(half: float, *, material: Material | None = None) -> Mesh:
    box = trimesh.creation.box(extents=[2 * half] * 3)
    return mesh_of(box.vertices, box.faces, material=material)


def sphere(radius: float, *, center: tuple[float, float, float] = (0, 0, 0), subdivisions: int = 4) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    smooth = mesh_of(ball.vertices + np.asarray(center), ball.faces)
    return replace(smooth, normals=np.asarray(ball.vertices / radius, np.float32))


def camera_at(eye: object, *, size: int = 64, focal: float = 1.0, up: object = (0.0, 1.0, 0.0)) -> Cameras:
    """One camera looking at the origin; `focal` in image widths."""
    pose = look_at(torch.tensor([eye], dtype=torch.float32), torch.zeros(3), torch.tensor(up))
    return Cameras(pose, torch.full((1, 2), focal * size), torch.full((1, 2), size / 2), size, size)


def world_points(camera: Cameras, depth: NDArray[np.float32]) -> NDArray[np.float64]:
    """World positions (P, 3) of the pixels of one camera that have a depth, by the definition of z-depth."""
    rows, columns = np.nonzero(np.isfinite(depth))
    z = depth[rows, columns].astype(np.float64)
    focal, principal = camera.focal[0].double().numpy(), camera.principal[0].double().numpy()
    x = (columns + 0.5 - principal[0]) / focal[0] * z
    y = -(rows + 0.5 - principal[1]) / focal[1] * z
    pose = camera.camera_to_world[0].double().numpy()
    world: NDArray[np.float64] = np.stack([x, y, -z], axis=1) @ pose[:3, :3].T + pose[:3, 3]
    return world
