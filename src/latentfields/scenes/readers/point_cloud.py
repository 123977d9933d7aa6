"""Sparse points in PLY files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Array, usable_points

_TYPES = {
    **{"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"},
    **{"float": "f4", "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2"},
    **{"int32": "i4", "uint32": "u4", "float32": "f4", "float64": "f8"},
}
_BYTE_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
_MAX_HEADER_LINES = 200


def read_ply(path: Path) -> tuple[Array, npt.NDArray[np.uint8] | None]:
    """Positions (P, 3) and 8-bit colours (P, 3), or None, of the vertices, which must be the first element.

    Raises InputError when the file is no PLY, is cut short, or has positions that are not finite.
    """
    try:
        with path.open("rb") as file:
            columns, has_colors = _read_vertices(path, file)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is converted
        points = usable_points(path, np.stack([columns[axis].astype(np.float64) for axis in "xyz"], axis=1))
    if not has_colors:
        return points, None
    colors = np.stack([columns[name] for name in ("red", "green", "blue")], axis=1)
    if not ((colors >= 0) & (colors <= 255)).all():
        raise InputError(path, "vertices: expected colours between 0 and 255")
    return points, colors.astype(np.uint8)


def _read_vertices(path: Path, file: BinaryIO) -> tuple[dict[str, npt.NDArray[Any]], bool]:
    """The vertices' properties by name, and whether there are 8-bit colours among them."""
    encoding, count, properties = _read_header(path, file)
    has_colors = {("red", "u1"), ("green", "u1"), ("blue", "u1")} <= set(properties)
    left = path.stat().st_size - file.tell()
    record = np.dtype([(name, _BYTE_ORDER[encoding] + kind) for name, kind in properties])
    # Checked before anything is allocated; a number in text takes a digit and a space.
    needed = count * (2 * len(properties) if encoding == "ascii" else record.itemsize)
    if needed > left + (encoding == "ascii"):
        raise InputError(path, f"claims {count} vertices, but only {left} bytes are left")
    if encoding == "ascii":
        return _read_text(path, file, count, [name for name, _ in properties]), has_colors
    vertices = np.frombuffer(file.read(needed), dtype=record)
    return {name: vertices[name] for name, _ in properties}, has_colors


def _read_header(path: Path, file: BinaryIO) -> tuple[str, int, list[tuple[str, str]]]:
    if file.readline(16).strip() != b"ply":
        raise InputError(path, "is not a PLY file")
    encoding, count, in_vertex = "", -1, False
    properties: list[tuple[str, str]] = []
    for _ in range(_MAX_HEADER_LINES):
        words = file.readline(4096).decode("latin-1").split()
        match words:
            case ["format", name, _] if name in _BYTE_ORDER:
                encoding = name
            case ["element", "vertex", number] if number.isdecimal() and count < 0 and len(number) < 20:
                count, in_vertex = int(number), True
            case ["element", *_]:
                if count < 0:
                    raise InputError(path, "expected the element vertex before all others")
                in_vertex = False
            case ["property", kind, name] if kind in _TYPES and count >= 0:
                if in_vertex:
                    properties.append((name, _TYPES[kind]))
            case ["property", *_] if in_vertex:
                raise InputError(path, f"element vertex: unexpected '{' '.join(words)}'")
            case ["end_header"]:
                break
    else:
        raise InputError(path, "has no end_header")
    names = [name for name, _ in properties]
    if not encoding or not {"x", "y", "z"} <= set(names) or len(set(names)) != len(names):
        raise InputError(path, "expected a format and an element vertex with the properties x, y and z")
    return encoding, count, properties


def _read_text(path: Path, file: BinaryIO, count: int, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    table = np.zeros((count, len(names)))
    for index in range(count):
        words = file.readline(4096).split()
        try:
            table[index] = np.array([float(word) for word in words]).reshape(len(names))
        except ValueError as error:
            raise InputError(path, f"vertex {index}: expected {len(names)} numbers") from error
    return {name: table[:, column] for column, name in enumerate(names)}
