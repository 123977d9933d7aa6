"""The colour of points on a mesh: textures, vertex colours and diffuse light that is fixed in the world.

Shape suffixes: N points, F faces.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentfields.scenes.objects.meshes import Mesh
from latentfields.scenes.objects.textures import REPEATED, Floats, TextureAtlas

_KEY_DIRECTION = np.array([0.46, -0.58, 0.67], np.float32) / np.float32(np.sqrt(0.46**2 + 0.58**2 + 0.67**2))
_KEY, _FILL, _SKY, _GROUND = np.float32(0.50), np.float32(0.12), np.float32(0.52), np.float32(0.26)
_TINY = np.float32(1e-30)


class Shader:
    """A mesh's materials, and its vertex attributes packed by face."""

    def __init__(self, mesh: Mesh) -> None:
        """Prepare the look-up tables of `mesh`."""
        self._material_of_face = mesh.material_of_face
        self._base_texture, self._glow_texture, self._atlas = _packed_textures(mesh)
        self._factor = np.array([material.color for material in mesh.materials], np.float32)
        self._emission = np.array([material.emission for material in mesh.materials], np.float32)
        modes = [material.alpha_mode for material in mesh.materials]
        self._is_mask = np.array([mode == "mask" for mode in modes])
        self._is_opaque = np.array([mode == "opaque" for mode in modes])
        self._cutoff = np.array([material.alpha_cutoff for material in mesh.materials], np.float32)
        self._attributes = np.concatenate(
            [attribute[mesh.faces] for attribute in (mesh.normals, mesh.colors, mesh.uv, mesh.glow_uv)],
            axis=2,
        )
        corner = mesh.vertices.astype(np.float32)[mesh.faces]
        cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        double_area = np.linalg.norm(cross, axis=1)
        self._face_normal = cross / np.maximum(double_area, _TINY)[:, None]
        self._log2_uv_per_length = _log2_uv_per_length(mesh.uv[mesh.faces], double_area)
        self._log2_glow_uv_per_length = (
            self._log2_uv_per_length
            if mesh.emission_uv is None
            else _log2_uv_per_length(mesh.emission_uv[mesh.faces], double_area)
        )

    def alpha(self, face: NDArray[np.int32], barycentric: Floats) -> Floats:
        """Opacity (N,) in [0, 1] of points on faces (N,) at barycentric coordinates (N, 3)."""
        if self._is_opaque.all():
            return np.ones(len(face), np.float32)
        finest = np.full(len(face), -np.inf, np.float32)
        return self._base_color(self._material_of_face[face], self._interpolated(face, barycentric), finest)[
            :, 3
        ]

    def shade(
        self, face: NDArray[np.int32], barycentric: Floats, *, directions: Floats, footprint: Floats
    ) -> tuple[Floats, Floats]:
        """Linear colour (N, 3) and opacity (N,) of points on faces (N,) at barycentric coordinates (N, 3).

        `directions` (N, 3) are those of the rays that hit; `footprint` (N,) is the distance between
        neighbouring rays at the points, in scene units, and chooses the level of detail of textures.
        """
        attributes = self._interpolated(face, barycentric)
        material = self._material_of_face[face]
        level = self._log2_uv_per_length[face] + np.log2(footprint)
        base = self._base_color(material, attributes, level)
        normal = _facing_normal(attributes[:, :3], self._face_normal[face], directions)
        color = base[:, :3] * _irradiance(normal)[:, None]
        if self._emission.any():
            glow_level = self._log2_glow_uv_per_length[face] + np.log2(footprint)
            glow = self._looked_up(self._glow_texture[material], attributes[:, 9:11], glow_level)
            color += glow[:, :3] * self._emission[material]
        return color, base[:, 3]

    def _interpolated(self, face: NDArray[np.int32], barycentric: Floats) -> Floats:
        """Normal (3), vertex colour (4), texture coordinates of colour (2) and emission (2) at points, (N, 11)."""
        result: Floats = np.einsum("nk,nkc->nc", barycentric, self._attributes[face])
        return result

    def _base_color(self, material: NDArray[np.int32], attributes: Floats, level: Floats) -> Floats:
        """Linear RGBA (N, 4), its alpha settled by the material's alpha mode."""
        base = self._looked_up(self._base_texture[material], attributes[:, 7:9], level)
        base *= self._factor[material] * attributes[:, 3:7]
        cut = (base[:, 3] >= self._cutoff[material]).astype(np.float32)
        base[:, 3] = np.where(self._is_mask[material], cut, base[:, 3])
        base[self._is_opaque[material], 3] = 1
        return base

    def _looked_up(self, texture: NDArray[np.int32], uv: Floats, level: Floats) -> Floats:
        return self._atlas.sample(texture, uv, level + self._atlas.log2_size[texture])


def _packed_textures(mesh: Mesh) -> tuple[NDArray[np.int32], NDArray[np.int32], TextureAtlas]:
    """For every material the index of its colour and of its emission texture, and the atlas; 0 is white."""
    white = np.full((1, 1, 4), 255, np.uint8)
    textures, wraps = [white], [REPEATED]
    index_of = {(id(white), REPEATED): 0}
    indices = []
    for material in mesh.materials:
        for texture, wrap in (
            (material.texture, material.wraps),
            (material.emission_texture, material.emission_wraps),
        ):
            texture, wrap = (white, REPEATED) if texture is None else (texture, wrap)
            if (id(texture), wrap) not in index_of:
                index_of[id(texture), wrap] = len(textures)
                textures.append(texture)
                wraps.append(wrap)
            indices.append(index_of[id(texture), wrap])
    atlas = TextureAtlas(textures, wraps)
    return np.array(indices[0::2], np.int32), np.array(indices[1::2], np.int32), atlas


def _log2_uv_per_length(uv: Floats, double_area: Floats) -> Floats:
    """(F,) log2 of texture coordinates per unit of length on each face; -inf on faces without texture."""
    first, second = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    double_uv_area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    with np.errstate(divide="ignore"):
        result: Floats = np.float32(0.5) * np.log2(double_uv_area / np.maximum(double_area, _TINY))
    return result


def _facing_normal(smooth: Floats, flat: Floats, directions: Floats) -> Floats:
    """Unit normals (N, 3) on the viewer's side: meshes may be inside out, or sheets seen from both sides."""
    flat = flat * np.where((flat * directions).sum(axis=1) > 0, np.float32(-1), np.float32(1))[:, None]
    length = np.linalg.norm(smooth, axis=1)
    side = np.where((smooth * flat).sum(axis=1) < 0, np.float32(-1), np.float32(1))
    turned = smooth * (side / np.maximum(length, np.float32(1e-3)))[:, None]
    return np.where((length < 1e-3)[:, None], flat, turned)


def _irradiance(normal: Floats) -> Floats:
    """Diffuse light (N,) on unit normals: sky and ground, a key light, a weak fill light opposite to it."""
    up = (normal[:, 2] + 1) * np.float32(0.5)
    cosine = normal @ _KEY_DIRECTION
    ambient = _GROUND + (_SKY - _GROUND) * up
    lights = _KEY * np.maximum(cosine, 0) + _FILL * np.maximum(-cosine, 0)
    intensity: NDArray[np.float32] = (ambient + lights).astype(np.float32, copy=False)
    return intensity
