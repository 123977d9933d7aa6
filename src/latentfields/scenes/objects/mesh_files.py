"""Reading GLB, glTF, OBJ, PLY and STL files into `Mesh`, with the checks that bad files call for."""

from __future__ import annotations

import json
import struct
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import trimesh
from numpy.typing import NDArray

from latentfields.errors import InputError
from latentfields.scenes.images import MAX_PIXELS
from latentfields.scenes.objects.meshes import MAX_FACES, AlphaMode, Material, Mesh, concatenate
from latentfields.scenes.objects.textures import srgb_to_linear

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")
_MAX_TEXTURE_SIDE = 4096
_MAX_ELEMENTS = 10 * MAX_FACES
"""Of one accessor: three corners of every face, and vertices that none uses."""
_UNCOLORED = Material(color=(0.6, 0.6, 0.6, 1.0))


def load_mesh(path: Path, *, up: Literal["y", "z"] = "y") -> Mesh:
    """Read a mesh file with all of its parts, transforms, materials and textures, into a world with z up.

    `up` is the file's own up axis; y is the rule of glTF and the custom of OBJ. Skins, animations and normal
    maps are not read. Warns when the file names textures and none could be read. Raises InputError when the
    file is missing, of another format, unreadable, or without triangles.
    """
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise InputError(path, f"expected a mesh file ending in one of {', '.join(MESH_SUFFIXES)}")
    if not path.is_file():
        raise InputError(path, "no such file")
    if path.suffix.lower() in (".glb", ".gltf"):
        _check_sizes(path)
    try:
        # Without allow_anywhere, textures in a sibling folder (../images) are dropped in silence.
        resolver = trimesh.resolvers.FilePathResolver(str(path), allow_anywhere=True)
        contents = trimesh.load_scene(str(path), resolver=resolver, process=False)
    except Exception as error:  # the format readers raise whatever their parsers raise
        raise InputError(
            path, f"not a readable {path.suffix} mesh ({type(error).__name__}: {error})"
        ) from error
    try:
        parts = _parts(contents, _to_z_up(up), colors_are_linear=path.suffix.lower() in (".glb", ".gltf"))
    except Exception as error:  # what was read need not fit together, and textures are decoded late
        raise InputError(path, f"a part of it cannot be used ({type(error).__name__}: {error})") from error
    if not parts:
        raise InputError(path, "the file holds no triangles or polygons")
    mesh = concatenate(path.stem, parts)
    if _names_textures(path) and all(material.texture is None for material in mesh.materials):
        warnings.warn(f"{path}: its textures could not be read; it is rendered without", stacklevel=2)
    return mesh


def _parts(contents: Any, world: NDArray[np.float64], *, colors_are_linear: bool) -> list[Mesh]:
    """Every part with triangles, in the world. Raises whatever parts raise that do not fit together."""
    parts = []
    for node in contents.graph.nodes_geometry:
        transform, geometry_name = contents.graph[node]
        geometry = contents.geometry[geometry_name]
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            count = len(geometry.vertices)
            if geometry.faces.min() < 0 or geometry.faces.max() >= count:
                raise ValueError(f"a face has a corner that is none of the {count} vertices")
            parts.append(_part(geometry, world @ transform, colors_are_linear=colors_are_linear))
    return parts


def _to_z_up(up: Literal["y", "z"]) -> NDArray[np.float64]:
    if up == "z":
        return np.eye(4)
    return np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


def _part(geometry: Any, transform: NDArray[np.float64], *, colors_are_linear: bool) -> Mesh:
    if geometry.visual.kind == "face":
        return _with_face_colors(geometry, transform)
    count = len(geometry.vertices)
    uv = getattr(geometry.visual, "uv", None)
    colors, material = _vertex_colors(geometry.visual, count, are_linear=colors_are_linear), _UNCOLORED
    if geometry.visual.kind == "texture":
        material = _material(geometry.visual.material)
    elif geometry.visual.kind == "vertex":
        material = Material(alpha_mode="blend" if (colors[:, 3] < 1).any() else "opaque")
    return Mesh(
        name="part",
        vertices=_moved(geometry.vertices, transform),
        faces=np.asarray(geometry.faces, dtype=np.int32),
        normals=_vertex_normals(geometry, transform),
        uv=np.zeros((count, 2), np.float32) if uv is None else np.asarray(uv, np.float32)[:, :2],
        colors=colors,
        material_of_face=np.zeros(len(geometry.faces), np.int32),
        materials=(material,),
    )


def _with_face_colors(geometry: Any, transform: NDArray[np.float64]) -> Mesh:
    """A mesh of which every face has its own three vertices, because it has its own colour."""
    count = 3 * len(geometry.faces)
    rgba = np.repeat(geometry.visual.face_colors, 3, axis=0) / np.float32(255)
    rgba[:, :3] = srgb_to_linear(rgba[:, :3])
    return Mesh(
        name="part",
        vertices=_moved(geometry.vertices[geometry.faces].reshape(-1, 3), transform),
        faces=np.arange(count, dtype=np.int32).reshape(-1, 3),
        normals=np.zeros((count, 3), np.float32),
        uv=np.zeros((count, 2), np.float32),
        colors=rgba.astype(np.float32),
        material_of_face=np.zeros(count // 3, np.int32),
        materials=(Material(alpha_mode="blend" if (rgba[:, 3] < 1).any() else "opaque"),),
    )


def _moved(vertices: Any, transform: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", over="ignore"):  # checked when the mesh is normalised
        moved: NDArray[np.float64] = vertices @ transform[:3, :3].T + transform[:3, 3]
    return moved


def _vertex_normals(geometry: Any, transform: NDArray[np.float64]) -> NDArray[np.float32]:
    """The file's own vertex normals in the world, zero where it has none (which means flat shading)."""
    # The property would compute normals; only the cache tells whether the file had them.
    if "vertex_normals" not in geometry._cache:
        return np.zeros((len(geometry.vertices), 3), np.float32)
    normals = np.asarray(geometry.vertex_normals) @ np.linalg.pinv(transform[:3, :3])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    usable = np.isfinite(length) & (length > 1e-12)
    return np.where(usable, normals / np.where(usable, length, 1), 0).astype(np.float32)


def _vertex_colors(visual: Any, count: int, *, are_linear: bool) -> NDArray[np.float32]:
    """(V, 4) linear RGBA; white where the file has none."""
    attributes = getattr(visual, "vertex_attributes", {})
    found = visual.vertex_colors if visual.kind == "vertex" else attributes.get("color")
    rgba = np.ones((count, 4), np.float32)
    if found is None:
        return rgba
    colors = np.asarray(found)
    rgba[:, : colors.shape[1]] = colors / (255 if colors.dtype.kind in "ui" else 1)
    if not are_linear:
        rgba[:, :3] = srgb_to_linear(rgba[:, :3])
    return rgba


def _material(material: Any) -> Material:
    if isinstance(material, trimesh.visual.material.PBRMaterial):
        return _gltf_material(material)
    if hash(material) == hash(trimesh.visual.material.empty_material()):  # the reader's stand-in for none
        return _UNCOLORED
    texture = _pixels(getattr(material, "image", None))
    if texture is not None:
        # A texture takes the place of the diffuse colour, which exporters often leave black.
        return Material(texture=texture, alpha_mode="blend" if (texture[..., 3] < 255).any() else "opaque")
    red, green, blue, alpha = _unit_rgba(getattr(material, "diffuse", None), default=_UNCOLORED.color)
    linear = srgb_to_linear(np.array([red, green, blue])).tolist()
    return Material(
        color=(linear[0], linear[1], linear[2], alpha), alpha_mode="blend" if alpha < 1 else "opaque"
    )


def _gltf_material(material: Any) -> Material:
    modes: dict[str, AlphaMode] = {"MASK": "mask", "BLEND": "blend"}
    emission = (0.0, 0.0, 0.0) if material.emissiveFactor is None else material.emissiveFactor
    return Material(
        color=_unit_rgba(material.baseColorFactor, default=(1.0, 1.0, 1.0, 1.0)),
        texture=_pixels(material.baseColorTexture),
        alpha_mode=modes.get(material.alphaMode or "", "opaque"),
        alpha_cutoff=0.5 if material.alphaCutoff is None else float(material.alphaCutoff),
        emission=(float(emission[0]), float(emission[1]), float(emission[2])),
        emission_texture=_pixels(material.emissiveTexture),
    )


def _unit_rgba(
    value: Any, *, default: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    if value is None:
        return default
    values = np.asarray(value)
    unit = (values / 255 if values.dtype.kind in "ui" else values).tolist()
    return (unit[0], unit[1], unit[2], unit[3] if len(unit) > 3 else 1.0)


def _pixels(image: Any) -> NDArray[np.uint8] | None:
    """(H, W, 4) RGBA of a picture, shrunk where it is larger than any rendered view can show."""
    if image is None:
        return None
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(
            f"a texture claims {image.width}x{image.height} pixels; at most {MAX_PIXELS} are read"
        )
    rgba = image.convert("RGBA")
    factor = -(-max(rgba.size) // _MAX_TEXTURE_SIDE)
    return np.asarray(rgba.reduce(factor) if factor > 1 else rgba, dtype=np.uint8)


def _names_textures(path: Path) -> bool:
    """Whether the file's materials name base-colour textures, or the file with its materials is missing."""
    if path.suffix.lower() == ".obj":
        libraries = [path.parent / line[7:].strip() for line in _lines(path) if line.startswith("mtllib ")]
        return any(not library.is_file() or _has_color_map(library) for library in libraries)
    if path.suffix.lower() in (".glb", ".gltf"):
        materials = _gltf_json(path).get("materials", [])
        return any("baseColorTexture" in material.get("pbrMetallicRoughness", {}) for material in materials)
    return False


def _has_color_map(library: Path) -> bool:
    return any(line.strip().lower().startswith("map_kd") for line in _lines(library))


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _check_sizes(path: Path) -> None:
    """Raise InputError where a glTF file claims more data than there can be: its reader would make room first."""
    data = path.read_bytes()
    place = 12 if data[:4] == b"glTF" else len(data)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place)
        if place + 8 + length > len(data):
            raise InputError(
                path, f"claims a chunk of {length} bytes, but only {len(data) - place - 8} are left"
            )
        place += 8 + length
    try:
        contents = _gltf_json(path)
        counts = [accessor["count"] for accessor in contents.get("accessors", [])]
        largest = max((count for count in counts if isinstance(count, int | float)), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise InputError(path, f"is no glTF ({type(error).__name__}: {error})") from None
    if largest > _MAX_ELEMENTS:
        raise InputError(path, f"claims {largest} elements of an accessor; at most {_MAX_ELEMENTS} are read")


def _gltf_json(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    if data[:4] == b"glTF":
        (length,) = struct.unpack_from("<I", data, 12)
        data = data[20 : 20 + length]
    contents: dict[str, Any] = json.loads(data)
    return contents
