"""Rendering textured meshes to RGBA and depth by ray casting, on the CPU, without a display.

Every pixel averages a regular grid of samples, premultiplied by alpha, in linear light. Light is fixed in the
world and diffuse, so that a surface point has one colour from every side, and the result is the same bytes in
every run. Shape suffixes: R rays, N hits, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from latentfields.cameras import Cameras
from latentfields.scenes.objects.meshes import Mesh
from latentfields.scenes.objects.shading import Shader
from latentfields.scenes.objects.textures import Floats, linear_to_srgb

_MAX_LAYERS = 4
"""Surfaces that a ray may pass through; what lies behind is taken as empty."""
_SKIP = 1e-4
"""How far a ray that passes a surface is moved on, as a share of the mesh's largest extent."""
_SOLID = 0.999
"""Opacity from which nothing behind is looked for."""


@dataclass(frozen=True, eq=False)
class RenderedView:
    """One view of a mesh."""

    rgba: NDArray[np.uint8]
    """(H, W, 4) sRGB colours with straight alpha, all zero where nothing is seen."""
    depth: Floats
    """(H, W) z-depth at pixel centres, infinite where the ray meets nothing that is at least half opaque."""


@dataclass(frozen=True, eq=False)
class _Hits:
    """Points where rays meet a surface; only rays that do are listed."""

    ray: NDArray[np.intp]
    face: NDArray[np.int32]
    barycentric: Floats
    distance: Floats


class MeshRenderer:
    """A mesh prepared for ray casting."""

    def __init__(self, mesh: Mesh) -> None:
        """Prepare `mesh`, which must have faces and finite vertices (see `meshes.normalised`)."""
        self._scene = EmbreeScene()
        # The handle adds itself to the scene.
        vertices = np.ascontiguousarray(mesh.vertices, dtype=np.float32)
        TriangleMesh(self._scene, vertices, np.ascontiguousarray(mesh.faces))
        self._shader = Shader(mesh)
        self._skip = np.float32(_SKIP * np.ptp(vertices[mesh.faces].reshape(-1, 3), axis=0).max())

    def render(self, cameras: Cameras, *, samples: int = 3) -> Iterator[RenderedView]:
        """Render each camera in turn: `samples` x `samples` rays a pixel for colour and one for depth."""
        for index in range(len(cameras)):
            camera = cameras[index : index + 1]
            yield RenderedView(rgba=self._rgba(camera, samples), depth=self._depth(camera))

    def _rgba(self, camera: Cameras, samples: int) -> NDArray[np.uint8]:
        total = np.zeros((camera.height * camera.width, 4), np.float32)
        spacing = 1 / (samples * float(camera.focal.mean()))
        for row in range(samples):
            for column in range(samples):
                origins, directions = _rays(camera, (column + 0.5) / samples, (row + 0.5) / samples)
                total += self._radiance(origins, directions, spacing)
        return _encoded(total / np.float32(samples**2)).reshape(camera.height, camera.width, 4)

    def _radiance(self, origins: Floats, directions: Floats, spacing: float) -> Floats:
        """Premultiplied linear RGBA (R, 4) seen along rays that are `spacing` apart at unit distance."""
        result = np.zeros((len(origins), 4), np.float32)
        for hits in self._layers(origins, directions, result[:, 3]):
            footprint = hits.distance * np.float32(spacing)
            color, alpha = self._shader.shade(
                hits.face, hits.barycentric, directions=directions[hits.ray], footprint=footprint
            )
            weight = (1 - result[hits.ray, 3]) * alpha
            result[hits.ray, :3] += weight[:, None] * color
            result[hits.ray, 3] += weight
        return result

    def _depth(self, camera: Cameras) -> Floats:
        origins, directions = _rays(camera, 0.5, 0.5)
        distance = np.full(len(origins), np.inf, np.float32)
        opacity = np.zeros(len(origins), np.float32)
        for hits in self._layers(origins, directions, opacity):
            opacity[hits.ray] += (1 - opacity[hits.ray]) * self._shader.alpha(hits.face, hits.barycentric)
            first = (opacity[hits.ray] >= 0.5) & np.isinf(distance[hits.ray])
            distance[hits.ray[first]] = hits.distance[first]
        depth: Floats = distance * (directions @ camera.forward[0].numpy())
        return depth.reshape(camera.height, camera.width)

    def _layers(self, origins: Floats, directions: Floats, opacity: Floats) -> Iterator[_Hits]:
        """The surfaces that rays meet, front to back.

        `opacity` (R,) is what the caller has gathered so far; a ray goes on only while it is not solid.
        """
        travelled = np.zeros(len(origins), np.float32)
        active = np.arange(len(origins))
        for _ in range(_MAX_LAYERS):
            if not len(active):
                return
            starts = origins[active] + directions[active] * travelled[active, None]
            found = self._scene.run(starts, directions[active], output=True)
            hit = np.flatnonzero(found["primID"] >= 0)
            u, v, ray = found["u"][hit], found["v"][hit], active[hit]
            distance = travelled[ray] + found["tfar"][hit]
            yield _Hits(ray, found["primID"][hit], np.stack([1 - u - v, u, v], axis=1), distance)
            travelled[ray] = distance + self._skip
            active = ray[opacity[ray] < _SOLID]


def _rays(camera: Cameras, x: float, y: float) -> tuple[Floats, Floats]:
    """Origins and unit directions (R, 3) through the point (x, y) in [0, 1] of one camera's pixels."""
    rays = camera.rays(offsets=camera.focal.new_tensor([x, y])).flatten()
    return rays.origins.numpy(), rays.directions.numpy()


def _encoded(premultiplied: Floats) -> NDArray[np.uint8]:
    """Straight sRGB bytes (R, 4) of premultiplied linear RGBA."""
    alpha = np.minimum(premultiplied[:, 3:], np.float32(1))
    straight = premultiplied[:, :3] / np.maximum(alpha, np.float32(1e-6))
    encoded: NDArray[np.uint8] = np.rint(
        np.concatenate([linear_to_srgb(straight), alpha], axis=1) * 255
    ).astype(np.uint8)
    encoded[encoded[:, 3] == 0] = 0
    return encoded
