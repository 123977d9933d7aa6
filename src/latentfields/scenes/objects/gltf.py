"""Reading glTF 2.0 and GLB files, with their transforms, materials and textures, into parts of a mesh.

Read are quantised and normalised attributes, colours of every width, several sets of texture coordinates, texture
transforms, and the specular-glossiness materials of old files; not read are skins, morph targets, animations and
normal maps. Shape suffixes: V vertices, F faces.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from trimesh.visual.gloss import specular_to_pbr

from latentfields.scenes.objects.gltf_file import GltfFile, unit
from latentfields.scenes.objects.meshes import (
    UNCOLORED,
    AlphaMode,
    Material,
    Mesh,
    moved_normals,
    moved_vertices,
    require_corners,
)
from latentfields.scenes.objects.texture_files import TextureReader, pixels
from latentfields.scenes.objects.textures import REPEATED, Wrap, Wraps

_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_TRANSFORM = "KHR_texture_transform"
_GLOSSINESS = "KHR_materials_pbrSpecularGlossiness"
_KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n"
_WRAPS: dict[int, Wrap] = {10497: "repeat", 33648: "mirror", 33071: "clamp"}
"""By OpenGL's numbers."""
_SHOWN = {
    _TRANSFORM,
    _GLOSSINESS,
    "KHR_mesh_quantization",
    "KHR_materials_unlit",
    # A compressed file is read or refused, and a texture that is not read is named.
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_meshopt_compression",
    "KHR_texture_basisu",
    "EXT_texture_webp",
    "EXT_texture_avif",
    "MSFT_texture_dds",
}
"""Extensions that a file may require and be shown as it should be."""

Floats = NDArray[np.float64]


def read_gltf(path: Path, to_world: Floats, textures: TextureReader) -> list[Mesh]:
    """All triangles of the file's scene, in the world of `to_world` (4, 4): one part for each use of a primitive.

    Warns once when the file requires extensions that are not read. Raises InputError for compression that cannot be
    read, and what parsers raise for damaged files.
    """
    file = GltfFile(path)
    unknown = [name for name in file.extensions_required if name not in _SHOWN]
    if unknown:
        warnings.warn(
            f"{path}: requires {', '.join(unknown)}, which is not read; it may look otherwise", stacklevel=3
        )
    materials = _Materials(file, textures)
    parts = []
    for transform, mesh in _placed_meshes(file, to_world):
        for primitive in mesh["primitives"]:
            part = _part(file, primitive, transform, materials)
            if part is not None:
                parts.append(part)
    return parts


def _placed_meshes(file: GltfFile, to_world: Floats) -> Iterator[tuple[Floats, dict[str, Any]]]:
    """Each mesh of the file's scene with its transform to the world."""
    nodes, scenes = file.json.get("nodes", []), file.json.get("scenes", [])
    if scenes:
        roots = scenes[file.json.get("scene", 0)].get("nodes", [])
    else:
        children = {child for node in nodes for child in node.get("children", ())}
        roots = [index for index in range(len(nodes)) if index not in children]
    waiting, seen = [(index, to_world) for index in reversed(roots)], set()
    while waiting:
        index, above = waiting.pop()
        if index in seen:
            raise ValueError(f"nodes[{index}] has two parents")
        seen.add(index)
        node = nodes[index]
        transform = above @ _local_transform(node)
        if "mesh" in node:
            yield transform, file.json["meshes"][node["mesh"]]
        waiting += [(child, transform) for child in reversed(node.get("children", ()))]


def _local_transform(node: dict[str, Any]) -> Floats:
    if "matrix" in node:
        columns: Floats = np.array(node["matrix"], dtype=np.float64).reshape(4, 4)
        transposed: Floats = columns.T
        return transposed
    x, y, z, w = np.array(node.get("rotation", (0, 0, 0, 1)), dtype=np.float64)
    transform = np.eye(4)
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    transform[:3, :3] = np.array(rotation) * np.array(node.get("scale", (1, 1, 1)), dtype=np.float64)
    transform[:3, 3] = node.get("translation", (0, 0, 0))
    return transform


def _part(file: GltfFile, primitive: dict[str, Any], transform: Floats, materials: _Materials) -> Mesh | None:
    """The triangles of one primitive; None where it has none."""
    attributes, mode = primitive["attributes"], primitive.get("mode", _TRIANGLES)
    if mode not in (_TRIANGLES, _STRIP, _FAN) or "POSITION" not in attributes:
        return None
    file.decompress(primitive)
    positions = file.floats(attributes["POSITION"])[:, :3]
    count = len(positions)
    order = np.arange(count) if "indices" not in primitive else file.array(primitive["indices"])[:, 0]
    faces = _triangles(order.astype(np.int64), mode)
    if not len(faces):
        return None
    require_corners(faces, count)
    colors = np.ones((count, 4), np.float32)
    if "COLOR_0" in attributes:
        stored = unit(file.array(attributes["COLOR_0"]))
        colors[:, : stored.shape[1]] = np.clip(stored, 0, 1)
    surface = materials.surface(primitive.get("material"))
    if surface is None:
        colored = "COLOR_0" in attributes
        blend: AlphaMode = "blend" if (colors[:, 3] < 1).any() else "opaque"
        surface = _Surface(Material(alpha_mode=blend) if colored else UNCOLORED)
    normals = file.floats(attributes["NORMAL"]) if "NORMAL" in attributes else np.zeros((count, 3))
    return Mesh(
        name="part",
        vertices=moved_vertices(positions, transform),
        faces=faces.astype(np.int32),
        normals=moved_normals(normals, transform),
        uv=surface.base.coordinates(file, attributes),
        emission_uv=surface.emission.coordinates(file, attributes),
        colors=colors,
        material_of_face=np.zeros(len(faces), np.int32),
        materials=(surface.material,),
    )


def _triangles(order: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """(F, 3) vertex indices of the triangles that a list, a strip or a fan of vertices stands for."""
    if mode == _TRIANGLES:
        return order[: len(order) // 3 * 3].reshape(-1, 3)
    if len(order) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == _FAN:
        return np.stack([np.broadcast_to(order[0], len(order) - 2), order[1:-1], order[2:]], axis=1)
    faces = np.stack([order[:-2], order[1:-1], order[2:]], axis=1)
    faces[1::2] = faces[1::2, [1, 0, 2]]
    return faces


@dataclass(frozen=True)
class _Mapping:
    """The texture coordinates of one texture of a material."""

    coordinates_set: int = 0
    offset: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    rotation: float = 0.0
    """Radians."""

    @classmethod
    def of(cls, texture: dict[str, Any] | None) -> _Mapping:
        """The mapping that a material's texture info describes."""
        if texture is None:
            return cls()
        own = texture.get("texCoord", 0)
        transform = texture.get("extensions", {}).get(_TRANSFORM)
        if transform is None:
            return cls(own)
        u, v = map(float, transform.get("offset", (0, 0)))
        width, height = map(float, transform.get("scale", (1, 1)))
        return cls(
            transform.get("texCoord", own), (u, v), (width, height), float(transform.get("rotation", 0))
        )

    def coordinates(self, file: GltfFile, attributes: dict[str, int]) -> NDArray[np.float32]:
        """(V, 2) texture coordinates, origin at the lower left; zero where the primitive has none."""
        index = attributes.get(f"TEXCOORD_{self.coordinates_set}")
        if index is None:
            return np.zeros((file.json["accessors"][attributes["POSITION"]]["count"], 2), np.float32)
        u, v = (file.floats(index)[:, :2] * self.scale).T
        cosine, sine = np.cos(self.rotation), np.sin(self.rotation)
        turned = np.stack([cosine * u + sine * v, cosine * v - sine * u], axis=1) + self.offset
        # The file's origin is the upper left corner.
        return (turned * (1, -1) + (0, 1)).astype(np.float32)


@dataclass(frozen=True)
class _Surface:
    """A material, with the coordinates of its textures."""

    material: Material
    base: _Mapping = _Mapping()
    emission: _Mapping = _Mapping()


class _Materials:
    """The materials of a file, each read once, when it is used."""

    def __init__(self, file: GltfFile, textures: TextureReader) -> None:
        self._file, self._textures = file, textures
        self._read: dict[int, _Surface] = {}

    def surface(self, index: int | None) -> _Surface | None:
        """The material of a primitive; None where it has none."""
        if index is None:
            return None
        if index not in self._read:
            self._read[index] = self._surface(self._file.json["materials"][index])
        return self._read[index]

    def _surface(self, material: dict[str, Any]) -> _Surface:
        modes: dict[str, AlphaMode] = {"MASK": "mask", "BLEND": "blend"}
        emission = tuple(map(float, material.get("emissiveFactor", (0, 0, 0))))
        color, info, texture = self._base(material)
        glow = material.get("emissiveTexture")
        return _Surface(
            Material(
                color=color,
                texture=texture,
                wraps=self._wraps(info),
                alpha_mode=modes.get(material.get("alphaMode", ""), "opaque"),
                alpha_cutoff=float(material.get("alphaCutoff", 0.5)),
                emission=(emission[0], emission[1], emission[2]),
                emission_texture=self._texture(glow) if any(emission) else None,
                emission_wraps=self._wraps(glow),
            ),
            base=_Mapping.of(info),
            emission=_Mapping.of(glow),
        )

    def _base(
        self, material: dict[str, Any]
    ) -> tuple[tuple[float, float, float, float], dict[str, Any] | None, NDArray[np.uint8] | None]:
        """Factor, texture info and pixels of the base colour."""
        glossy = material.get("extensions", {}).get(_GLOSSINESS)
        if glossy is not None:
            return self._glossy_base(glossy)
        rough = material.get("pbrMetallicRoughness", {})
        info = rough.get("baseColorTexture")
        return _rgba(rough.get("baseColorFactor")), info, self._texture(info)

    def _glossy_base(
        self, glossy: dict[str, Any]
    ) -> tuple[tuple[float, float, float, float], dict[str, Any] | None, NDArray[np.uint8] | None]:
        """The base colour that a specular-glossiness material amounts to."""
        info = glossy.get("diffuseTexture")
        given: dict[str, Any] = {
            name: glossy[name]
            for name in ("specularFactor", "glossinessFactor", "diffuseFactor")
            if name in glossy
        }
        for name in ("diffuseTexture", "specularGlossinessTexture"):
            picture = self._texture(glossy.get(name))
            if picture is not None:
                given[name] = Image.fromarray(picture)
        converted = specular_to_pbr(**given)
        picture = converted.get("baseColorTexture")
        return (
            _rgba(converted.get("baseColorFactor")),
            info or glossy.get("specularGlossinessTexture"),
            None if picture is None else pixels(picture),
        )

    def _texture(self, info: dict[str, Any] | None) -> NDArray[np.uint8] | None:
        """(H, W, 4) RGBA of the first of a texture's pictures that can be read; None, which is noted, without."""
        if info is None:
            return None
        texture = self._file.json["textures"][info["index"]]
        sources = [entry.get("source") for entry in texture.get("extensions", {}).values()]
        sources = [source for source in (texture.get("source"), *sources) if source is not None]
        for source in sources:
            last = source == sources[-1]
            found = self._picture(source, note=last)
            if found is not None:
                return found
        if not sources:
            self._textures.note_missing(f"texture {info['index']}", "names no picture")
        return None

    def _wraps(self, info: dict[str, Any] | None) -> Wraps:
        """What the sampler of a texture does beyond its sides."""
        if info is None:
            return REPEATED
        number = self._file.json["textures"][info["index"]].get("sampler")
        sampler = {} if number is None else self._file.json["samplers"][number]
        return (
            _WRAPS.get(sampler.get("wrapS", 0), "repeat"),
            _WRAPS.get(sampler.get("wrapT", 0), "repeat"),
        )

    def _picture(self, index: int, *, note: bool) -> NDArray[np.uint8] | None:
        image = self._file.json["images"][index]
        uri = image.get("uri", "")
        name = image.get("name") or (uri if uri and not uri.startswith("data:") else f"image {index}")
        return self._textures.from_bytes(index, lambda: self._encoded(image), name=str(name), note=note)

    def _encoded(self, image: dict[str, Any]) -> bytes:
        data = (
            self._file.bytes_of_uri(image["uri"]) if "uri" in image else self._file.view(image["bufferView"])
        )
        if data.startswith(_KTX2) or image.get("mimeType") == "image/ktx2":
            raise ValueError(
                "KTX2, KHR_texture_basisu, is not read; expected PNG, JPEG or WebP, which `ktx extract` makes of it"
            )
        return data


def _rgba(factor: Any) -> tuple[float, float, float, float]:
    values = [1.0, 1.0, 1.0, 1.0] if factor is None else [float(value) for value in factor]
    return (values[0], values[1], values[2], values[3] if len(values) > 3 else 1.0)
