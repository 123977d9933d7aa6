"""The bytes of a glTF 2.0 file: its JSON, its buffers, and the arrays that its accessors describe."""

from __future__ import annotations

import base64
import json
import struct
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentfields.errors import InputError
from latentfields.scenes.objects.texture_files import beside

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COLUMNS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression", "MESHOPT_compression")
_LARGEST_PLACEHOLDER = 2**27
"""Bytes of an array that a file gives no content for."""
_DRACO = "KHR_draco_mesh_compression"


class GltfFile:
    """A glTF file, or GLB, whose arrays are read as they are asked for."""

    def __init__(self, path: Path) -> None:
        """Read the file's JSON. Raises ValueError and others for what is not glTF 2.0."""
        self.path = path
        self._arrays: dict[int, NDArray[Any]] = {}
        self._buffers: dict[int, bytes] = {}
        data = path.read_bytes()
        chunk = data
        if data[:4] == b"glTF":
            chunk = b""
            for kind, content in _chunks(data):
                if kind == _JSON_CHUNK and not chunk:
                    chunk = content
                elif kind == _BINARY_CHUNK:
                    self._buffers.setdefault(0, content)
        self.json: dict[str, Any] = json.loads(chunk.decode("utf-8-sig"))
        if not isinstance(self.json, dict) or "asset" not in self.json:
            raise ValueError("it has no 'asset'")

    def bytes_of_uri(self, uri: str) -> bytes:
        """The content of a data URI, or of a file that is named relative to this one."""
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        return beside(self.path, uri).read_bytes()

    def view(self, index: int) -> bytes:
        """The bytes of a buffer view."""
        view = self.json["bufferViews"][index]
        buffer = self._buffer(view["buffer"], view)
        start = view.get("byteOffset", 0)
        content = buffer[start : start + view["byteLength"]]
        if len(content) != view["byteLength"]:
            raise ValueError(f"bufferViews[{index}] leaves its buffer")
        return content

    def array(self, index: int) -> NDArray[Any]:
        """(count, columns) values of an accessor, as they are stored."""
        if index not in self._arrays:
            self._arrays[index] = self._read(self.json["accessors"][index])
        return self._arrays[index]

    def floats(self, index: int) -> NDArray[np.float64]:
        """(count, columns) values of an accessor; normalised integers are brought into [0, 1] or [-1, 1]."""
        values = self.array(index)
        return unit(values) if self.json["accessors"][index].get("normalized") else values.astype(np.float64)

    def decompress(self, primitive: dict[str, Any]) -> None:
        """Decode the arrays of a primitive that Draco compressed, with DracoPy, where that is installed.

        Raises InputError where it is not, and the file has no uncompressed arrays beside.
        """
        compressed = primitive.get("extensions", {}).get(_DRACO)
        if compressed is None:
            return
        try:
            from trimesh.exchange.gltf.extensions import draco_decode

            draco_decode(
                {
                    "data": compressed,
                    "primitive": primitive,
                    "accessors": self._arrays,
                    "views": {compressed["bufferView"]: self.view(compressed["bufferView"])},
                }
            )
        except ImportError:
            used = [*primitive["attributes"].values(), primitive.get("indices", -1)]
            if any(i >= 0 and "bufferView" not in self.json["accessors"][i] for i in used):
                raise InputError(
                    self.path,
                    f"is compressed with Draco ({_DRACO}); expected it without, or: pip install DracoPy",
                ) from None
        for index in (*primitive["attributes"].values(), primitive.get("indices")):
            if index in self._arrays:
                accessor = self.json["accessors"][index]
                decoded = np.asarray(self._arrays[index]).astype(_COMPONENTS[accessor["componentType"]])
                self._arrays[index] = decoded.reshape(accessor["count"], _COLUMNS[accessor["type"]])

    @cached_property
    def extensions_required(self) -> tuple[str, ...]:
        """Names of the extensions without which the file is not what it shows."""
        return tuple(self.json.get("extensionsRequired", ()))

    def _buffer(self, index: int, view: dict[str, Any]) -> bytes:
        if index not in self._buffers:
            uri = self.json["buffers"][index].get("uri")
            if uri is None:
                for name in _MESHOPT:
                    if name in view.get("extensions", {}):
                        raise InputError(self.path, f"is compressed with {name}; expected it without")
                raise ValueError(f"buffers[{index}] has no content")
            self._buffers[index] = self.bytes_of_uri(uri)
        return self._buffers[index]

    def _read(self, accessor: dict[str, Any]) -> NDArray[Any]:
        count, columns = accessor["count"], _COLUMNS[accessor["type"]]
        dtype = np.dtype(_COMPONENTS[accessor["componentType"]])
        sparse = accessor.get("sparse")
        if "bufferView" in accessor:
            values = self._strided(
                accessor["bufferView"], accessor.get("byteOffset", 0), count, columns, dtype
            )
        elif count * columns * dtype.itemsize > _LARGEST_PLACEHOLDER:
            raise ValueError(f"an accessor of {count} values has no content")
        else:
            values = np.zeros((count, columns), dtype)
        if sparse is not None:
            where, what = sparse["indices"], sparse["values"]
            rows = self._strided(
                where["bufferView"],
                where.get("byteOffset", 0),
                sparse["count"],
                1,
                np.dtype(_COMPONENTS[where["componentType"]]),
            )
            values = values.copy()
            values[rows[:, 0]] = self._strided(
                what["bufferView"], what.get("byteOffset", 0), sparse["count"], columns, dtype
            )
        return values

    def _strided(self, view: int, start: int, count: int, columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        content = self.view(view)
        stride = self.json["bufferViews"][view].get("byteStride") or columns * dtype.itemsize
        if count < 0 or start < 0 or stride < columns * dtype.itemsize:
            raise ValueError(f"an accessor of bufferViews[{view}] has no sensible layout")
        if count and start + (count - 1) * stride + columns * dtype.itemsize > len(content):
            raise ValueError(f"an accessor leaves bufferViews[{view}]")
        rows: NDArray[Any] = np.ndarray((count, columns), dtype, content, start, (stride, dtype.itemsize))
        return np.array(rows)


def unit(values: NDArray[Any]) -> NDArray[np.float64]:
    """Integers as the shares of their type's largest value that they stand for; other numbers as they are."""
    if values.dtype.kind not in "ui":
        return values.astype(np.float64)
    shares: NDArray[np.float64] = np.maximum(values / float(np.iinfo(values.dtype).max), -1.0)
    return shares


def _chunks(data: bytes) -> list[tuple[int, bytes]]:
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise ValueError(f"is GLB of version {version}; expected 2")
    chunks, position = [], 12
    while position + 8 <= min(length, len(data)):
        size, kind = struct.unpack_from("<II", data, position)
        content = data[position + 8 : position + 8 + size]
        if len(content) != size:
            raise ValueError("the file is cut off")
        chunks.append((kind, content))
        position += 8 + size
    return chunks
