"""Reading GLB, glTF, OBJ, PLY and STL files into `Mesh`, with the checks that bad files call for."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import trimesh
from numpy.typing import NDArray

from latentfields.config.arguments import checked
from latentfields.errors import InputError
from latentfields.scenes.objects.gltf import read_gltf
from latentfields.scenes.objects.gltf_file import unit
from latentfields.scenes.objects.meshes import (
    UNCOLORED,
    Material,
    Mesh,
    concatenate,
    moved_normals,
    moved_vertices,
    require_corners,
)
from latentfields.scenes.objects.texture_files import TextureReader, beside
from latentfields.scenes.objects.textures import srgb_to_linear

MESH_SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl")

Floats = NDArray[np.float64]


def require_mesh_file(path: Path) -> None:
    """Raise InputError for what is no file that is called like a mesh."""
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise InputError(path, f"expected a mesh file ending in one of {', '.join(MESH_SUFFIXES)}")
    if not path.is_file():
        raise InputError(path, "no such file")


@checked
def load_mesh(path: str | Path, *, up: Literal["y", "z"] = "y") -> Mesh:
    """Read a mesh file with all of its parts, transforms, materials and textures, into a world with z up.

    `up` is the file's own up axis; y is the rule of glTF and the custom of OBJ. Skins, animations and normal
    maps are not read. Warns once, with the names of all textures that the file names and that could not be read.
    Raises InputError when the file is missing, of another format, compressed, unreadable, or without triangles.
    """
    path = Path(path)
    require_mesh_file(path)
    suffix = path.suffix.lower()
    to_world, textures = _to_z_up(up), TextureReader(path)
    try:
        if suffix in (".glb", ".gltf"):
            parts = read_gltf(path, to_world, textures)
        else:
            pieces = {".obj": _obj_pieces, ".ply": _ply_pieces, ".stl": _stl_pieces}[suffix](path, textures)
            parts = [piece.mesh(to_world) for piece in pieces if len(piece.geometry.faces)]
    except InputError:
        raise
    except Exception as error:  # the format readers raise whatever their parsers raise
        problem = " ".join(str(error).split())[:200]
        raise InputError(
            path, f"not a readable {path.suffix} mesh ({type(error).__name__}: {problem})"
        ) from error
    if not parts:
        raise InputError(path, "the file holds no triangles or polygons")
    textures.warn()
    return concatenate(path.stem, parts)


def _to_z_up(up: Literal["y", "z"]) -> Floats:
    if up == "z":
        return np.eye(4)
    return np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Piece:
    """The triangles of one material, with sRGB colours of vertices or of faces where the file has some."""

    geometry: Any
    """A `trimesh.Trimesh`, of which positions, faces and normals are taken."""
    material: Material | None = None
    uv: NDArray[Any] | None = None
    """(V, 2) texture coordinates, origin at the lower left."""
    vertex_colors: NDArray[Any] | None = None
    """(V, 3 or 4) of any number type."""
    face_colors: NDArray[Any] | None = None
    """(F, 3 or 4) of any number type."""

    def mesh(self, to_world: Floats) -> Mesh:
        """The piece in the world of `to_world` (4, 4)."""
        vertices, faces = self.geometry.vertices, np.asarray(self.geometry.faces, dtype=np.int32)
        require_corners(faces, len(vertices))
        normals = _own_normals(self.geometry)
        uv = np.zeros((len(vertices), 2)) if self.uv is None else np.asarray(self.uv)[:, :2]
        colors, face_colors = self.vertex_colors, self.face_colors
        if colors is not None and len(colors) != len(vertices):
            colors = None
        if colors is None and face_colors is not None and len(face_colors) == len(faces):
            # Every face gets three vertices of its own, because it has its own colour.
            vertices, uv = vertices[faces].reshape(-1, 3), uv[faces].reshape(-1, 2)
            faces = np.arange(len(vertices), dtype=np.int32).reshape(-1, 3)
            colors, normals = np.repeat(face_colors, 3, axis=0), np.zeros((len(vertices), 3))
        rgba = np.ones((len(vertices), 4), np.float32)
        if colors is not None:
            rgba[:, : colors.shape[1]] = _in_unit_range(colors)
            rgba[:, :3] = srgb_to_linear(rgba[:, :3])
        material = self.material
        if material is None:
            alpha_mode: Literal["blend", "opaque"] = "blend" if (rgba[:, 3] < 1).any() else "opaque"
            material = UNCOLORED if colors is None else Material(alpha_mode=alpha_mode)
        return Mesh(
            name="part",
            vertices=moved_vertices(vertices, to_world),
            faces=faces,
            normals=moved_normals(normals, to_world),
            uv=uv.astype(np.float32),
            colors=rgba,
            material_of_face=np.zeros(len(faces), np.int32),
            materials=(material,),
        )


def _own_normals(geometry: Any) -> NDArray[Any]:
    """The file's own vertex normals, zero where it has none (which means flat shading)."""
    # The property would compute normals; only the cache tells whether the file had them.
    if "vertex_normals" not in geometry._cache:
        return np.zeros((len(geometry.vertices), 3))
    return np.asarray(geometry.vertex_normals)


def _in_unit_range(colors: NDArray[Any]) -> Floats:
    """Colours of any number type in [0, 1]: what is larger than 1 counts to 255, or to 65535."""
    if colors.dtype.kind in "ui" and colors.dtype.itemsize <= 2:
        return unit(colors)
    values = np.nan_to_num(colors.astype(np.float64))
    largest = values.max(initial=0)
    # Integers of 32 bits are bytes that a program wrote wide. A little above 1 is rounding.
    if colors.dtype.kind in "ui" or largest > 2:
        values = values / (255 if largest <= 255 else 65535)
    return np.clip(values, 0, 1)


def _geometry(vertices: Any, faces: Any, normals: Any = None) -> Any:
    return trimesh.Trimesh(vertices, faces, vertex_normals=normals, process=False)


def _stl_pieces(path: Path, textures: TextureReader) -> Iterator[_Piece]:
    contents = trimesh.load_scene(str(path), process=False)
    for node in contents.graph.nodes_geometry:
        geometry = contents.geometry[contents.graph[node][1]]
        if isinstance(geometry, trimesh.Trimesh):
            visual: Any = geometry.visual
            colors = visual.face_colors if visual.kind == "face" else None
            yield _Piece(geometry, face_colors=colors)


def _ply_pieces(path: Path, textures: TextureReader) -> Iterator[_Piece]:
    """The file's mesh. Textures multiply the colours of vertices."""

    def read(*, fix_texture: bool) -> dict[str, Any]:
        contents: dict[str, Any] = trimesh.exchange.ply.load_ply(
            io.BytesIO(_with_known_colors(path.read_bytes())), skip_materials=True, fix_texture=fix_texture
        )
        return contents

    contents = read(fix_texture=True)
    faces = contents.get("faces")
    if faces is None:
        return
    normals, colors = contents.get("vertex_normals"), contents.get("vertex_colors")
    visual, material = contents.get("visual"), None
    uv = None if visual is None else visual.uv
    if uv is not None and len(uv) == len(contents["vertices"]):
        # Where texture coordinates part, trimesh gives vertices anew, and leaves their colours and normals.
        before = np.asarray(read(fix_texture=False)["faces"])
        origin = np.zeros(len(contents["vertices"]), np.int64)
        origin[np.asarray(faces).reshape(-1)] = before.reshape(-1)
        colors, normals = (None if of is None else np.asarray(of)[origin] for of in (colors, normals))
        names = _ply_textures(path)
        for other in names[1:]:
            textures.note_missing(other, "of a PLY file the first texture is read")
        texture = textures.from_file(names[0]) if names else None
        material = None if texture is None else _textured(texture)
    face_colors = contents.get("face_colors")
    if face_colors is not None and np.shape(faces)[1:] == (4,):
        face_colors = np.tile(face_colors, (2, 1))  # trimesh halves all quads one way, then the other
    yield _Piece(_geometry(contents["vertices"], faces, normals), material, uv, colors, face_colors)


def _with_known_colors(data: bytes) -> bytes:
    """A PLY file whose colours have the names that most programs give them; some call them r or diffuse_red."""
    header, end, body = data.partition(b"end_header")
    names = {b"r": b"red", b"g": b"green", b"b": b"blue", b"a": b"alpha"}

    def known(found: re.Match[bytes]) -> bytes:
        return found[1] + names[found[2][:1]]

    if not end or re.search(rb"^property\s+\w+\s+red\s*$", header, re.MULTILINE):
        return data
    pattern = rb"^(property\s+\w+\s+)(?:diffuse_)?(r|g|b|a|red|green|blue|alpha)(?=\s*$)"
    return re.sub(pattern, known, header, flags=re.MULTILINE) + end + body


def _ply_textures(path: Path) -> list[str]:
    with path.open("rb") as file:
        header = file.read(65536).partition(b"end_header")[0].decode("utf-8", "replace")
    return re.findall(r"^comment\s+TextureFile\s+(\S.*?)\s*$", header, re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class _ObjMaterial:
    """A material of an MTL file, and how its texture lies on the surface."""

    material: Material
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


class _Library:
    """What trimesh gets in place of MTL files: materials that have names alone, so that it reads no textures."""

    def __init__(self, names: Iterator[str]) -> None:
        self._text = "".join(f"newmtl {name}\n" for name in names).encode()

    def get(self, name: str) -> bytes:
        return self._text

    __getitem__ = get


def _obj_pieces(path: Path, textures: TextureReader) -> Iterator[_Piece]:
    """A piece for each material. Textures multiply the colours of vertices."""
    materials = _obj_materials(path, textures)
    # Vertices count from 1; trimesh would take vertex 0 for the last one.
    zero = re.search(r"^f\b[^\n]*?\s[-+]?0+(?![\d.])", path.read_text("utf-8", "replace"), re.MULTILINE)
    if zero is not None:
        raise InputError(path, f"{zero[0][:40]!r}: expected vertices from 1 on, or from -1 down")
    with open(path, "rb") as handle:
        library: Any = _Library(iter(materials))
        contents = trimesh.exchange.obj.load_obj(handle, resolver=library)
    parts = contents.get("geometry", {}).values()
    largest = max(map(_largest, parts), default=0.0)
    for part in parts:
        if "faces" not in part:
            continue
        visual, colors = part.get("visual"), part.get("vertex_colors")
        uv, name = (None, None) if visual is None else (visual.uv, visual.material.name)
        found = materials.get(name) if isinstance(name, str) else None
        if uv is not None and found is not None:
            uv = np.asarray(uv)[:, :2] * found.scale + found.offset
        if colors is not None and largest > 2:
            # One range for all parts: a dark one does not tell it.
            colors = np.asarray(colors) / (255 if largest <= 255 else 65535)
        geometry = _geometry(part["vertices"], part["faces"], part.get("vertex_normals"))
        yield _Piece(geometry, None if found is None else found.material, uv, colors)


def _largest(part: dict[str, Any]) -> float:
    colors = part.get("vertex_colors")
    return 0.0 if colors is None else float(np.nan_to_num(colors).max(initial=0))


def _obj_materials(path: Path, textures: TextureReader) -> dict[str, _ObjMaterial]:
    """The materials, by their names, of all libraries that an OBJ file names."""
    materials: dict[str, _ObjMaterial] = {}
    used = {line[6:].strip() for line in _lines(path) if line.startswith("usemtl")}
    for library in _libraries(path, textures):
        name, fields = "", dict[str, str]()
        for line in [*_lines(library), "newmtl"]:
            key, _, rest = line.strip().partition(" ")
            if key.lower() == "newmtl":
                if name:
                    own = TextureReader(path) if name not in used else textures
                    materials.setdefault(name, _obj_material(fields, own))
                name, fields = " ".join(rest.split()), {}
            else:
                fields[key.lower()] = rest.strip()
    return materials


def _libraries(path: Path, textures: TextureReader) -> Iterator[Path]:
    for line in _lines(path):
        if not line.startswith("mtllib"):
            continue
        whole = line[6:].strip()
        # A name may hold spaces, and a line several names.
        for name in [whole] if beside(path, whole).is_file() else whole.split():
            if beside(path, name).is_file():
                yield beside(path, name)
            else:
                textures.note_missing(name, "no such file")


def _obj_material(fields: dict[str, str], textures: TextureReader) -> _ObjMaterial:
    texture, options, flags = None, dict[str, tuple[float, float]](), set[str]()
    if "map_kd" in fields:
        name, options, flags = _map_options(fields["map_kd"])
        texture = textures.from_file(name)
    if texture is not None:
        # A texture takes the place of the diffuse colour, which exporters often leave black.
        scale, offset = options.get("s", (1.0, 1.0)), options.get("o", (0.0, 0.0))
        material = _textured(texture)
        if "clamp" in flags:
            material = replace(material, wraps=("clamp", "clamp"))
        return _ObjMaterial(material, scale, offset)
    try:
        color = np.array([float(value) for value in fields["kd"].split()[:3]])
    except (KeyError, ValueError):
        return _ObjMaterial(UNCOLORED)
    red, green, blue = srgb_to_linear(_in_unit_range(np.broadcast_to(color, 3))).tolist()
    return _ObjMaterial(Material(color=(red, green, blue, 1.0)))


def _map_options(text: str) -> tuple[str, dict[str, tuple[float, float]], set[str]]:
    """The file name of a texture in an MTL file, the pairs of numbers of the options before it, and which are on."""
    options: dict[str, tuple[float, float]] = {}
    flags: set[str] = set()
    while option := re.match(r"-(\w+)((?:\s+(?:on|off|[-+.\d][-+.\deE]*)(?=\s))*)\s+(?=\S)", text):
        values = [float(value) for value in option[2].split() if value not in ("on", "off")]
        if values:
            second = values[1] if len(values) > 1 else (1.0 if option[1] == "s" else 0.0)
            options[option[1]] = (values[0], second)
        if "on" in option[2].split():
            flags.add(option[1])
        text = text[option.end() :]
    return text.strip().strip('"'), options, flags


def _textured(texture: NDArray[np.uint8]) -> Material:
    return Material(texture=texture, alpha_mode="blend" if (texture[..., 3] < 255).any() else "opaque")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
