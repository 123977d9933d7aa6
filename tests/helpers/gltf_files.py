"""GLB files written by hand, with any attribute types, materials and extensions."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}

CORNERS = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], "<f4")
"""A square in the plane of height 0, seen from above with y up."""
UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], "<f4")
"""Texture coordinates of the corners that show a picture upright; the origin is the upper left."""
FACES = np.array([0, 1, 2, 0, 2, 3], "<u2")


def png(pixels: NDArray[np.uint8], *, format: str = "PNG") -> bytes:
    """A picture's file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


class GlbWriter:
    """Collects the parts of a GLB file."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "scenes": [{"nodes": []}],
            "nodes": [],
            "meshes": [],
            "accessors": [],
            "bufferViews": [],
        }
        self._binary = b""

    def view(self, data: bytes, **extra: Any) -> int:
        """A buffer view with this content."""
        self._binary += b"\0" * (-len(self._binary) % 4)
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data), **extra}
        self._binary += data
        self.json["bufferViews"].append(view)
        return len(self.json["bufferViews"]) - 1

    def accessor(self, values: NDArray[Any], *, normalized: bool = False, stride: int = 0) -> int:
        """An accessor of (N,) or (N, columns) values, of their own type; rows are `stride` bytes apart."""
        rows = values.reshape(len(values), -1)
        data = rows.tobytes()
        width = rows.shape[1] * rows.itemsize
        if stride:
            data = b"".join(row.tobytes() + b"\x7f" * (stride - width) for row in rows)
        self.json["accessors"].append(
            {
                "bufferView": self.view(data, **({"byteStride": stride} if stride else {})),
                "componentType": _CODES[values.dtype.str[1:]],
                "count": len(rows),
                "type": _TYPES[rows.shape[1]],
                **({"normalized": True} if normalized else {}),
            }
        )
        return len(self.json["accessors"]) - 1

    def image(self, data: bytes, **extra: Any) -> int:
        """A texture of an embedded picture."""
        self.json.setdefault("images", []).append(
            {"bufferView": self.view(data), "mimeType": "image/png", **extra}
        )
        self.json.setdefault("textures", []).append({"source": len(self.json["images"]) - 1})
        return len(self.json["textures"]) - 1

    def square(
        self,
        attributes: Mapping[str, int] | None = None,
        *,
        materials: Sequence[Mapping[str, Any]] = (),
        faces: NDArray[Any] = FACES,
        **node: Any,
    ) -> None:
        """A node with a mesh of one primitive for each material, or one without: the square, or parts of it."""
        places = {"POSITION": self.accessor(CORNERS), **(attributes or {})}
        primitives: list[dict[str, Any]] = []
        for triangles, material in zip(
            np.split(faces, max(len(materials), 1)), materials or (None,), strict=True
        ):
            primitive: dict[str, Any] = {"attributes": places, "indices": self.accessor(triangles)}
            if material is not None:
                self.json.setdefault("materials", []).append(material)
                primitive["material"] = len(self.json["materials"]) - 1
            primitives.append(primitive)
        self.json["meshes"].append({"primitives": primitives})
        self.json["nodes"].append({"mesh": len(self.json["meshes"]) - 1, **node})
        self.json["scenes"][0]["nodes"].append(len(self.json["nodes"]) - 1)

    def write(self, path: Path) -> Path:
        """Write the file."""
        binary = self._binary + b"\0" * (-len(self._binary) % 4)
        self.json["buffers"] = [{"byteLength": len(binary)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        chunks += struct.pack("<II", len(binary), 0x004E4942) + binary
        path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks)
        return path
