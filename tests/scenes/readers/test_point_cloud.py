from pathlib import Path

import numpy as np
import pytest

from latentfields.errors import InputError
from latentfields.scenes.readers.point_cloud import read_ply

POSITIONS = "property double x\nproperty double y\nproperty double z\n"
COLORS = "property uchar red\nproperty uchar green\nproperty uchar blue\n"


def header(encoding: str, count: object, properties: str = POSITIONS + COLORS) -> bytes:
    return (
        f"ply\nformat {encoding} 1.0\ncomment made\nelement vertex {count}\n{properties}end_header\n".encode()
    )


@pytest.mark.parametrize(("encoding", "order"), [("binary_little_endian", "<"), ("binary_big_endian", ">")])
def test_binary(tmp_path: Path, encoding: str, order: str) -> None:
    names = ["x", "y", "z", "nx", "red", "green", "blue"]
    record = np.dtype(
        [(n, f"{order}f8") for n in names[:3]] + [("nx", f"{order}f4")] + [(n, "u1") for n in names[4:]]
    )
    vertices = np.zeros(5, record)
    vertices["y"] = [0.5, 1.5, -2.0, 3.25, 1e5]
    vertices["green"] = [0, 1, 2, 3, 255]
    properties = POSITIONS + "property float nx\n" + COLORS
    (tmp_path / "p.ply").write_bytes(header(encoding, 5, properties) + vertices.tobytes() + b"faces follow")
    positions, colors = read_ply(tmp_path / "p.ply")
    assert positions[:, 1].tolist() == [0.5, 1.5, -2.0, 3.25, 1e5]
    assert colors is not None
    assert colors[:, 1].tolist() == [0, 1, 2, 3, 255]


def test_text_without_colours(tmp_path: Path) -> None:
    (tmp_path / "p.ply").write_bytes(header("ascii", 2, POSITIONS) + b"1 2 3\n4 5 6.5")
    positions, colors = read_ply(tmp_path / "p.ply")
    assert positions.tolist() == [[1, 2, 3], [4, 5, 6.5]]
    assert colors is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a PLY file"),
        (b"solid stl\n", "is not a PLY file"),
        (
            header("binary_little_endian", 10**15) + bytes(100),
            "claims 1000000000000000 vertices, but only 100 bytes",
        ),
        (header("binary_little_endian", 4) + bytes(27 * 4 - 1), "claims 4 vertices, but only 107"),
        (header("ascii", 10**12) + b"1 2 3 4 5 6\n", "claims 1000000000000 vertices"),
        (header("ascii", 2) + b"1 2 3 4 5 6\n1 2 3 4 5     \n", "vertex 1: expected 6 numbers"),
        (header("ascii", 1) + b"7                     \n", "vertex 0: expected 6 numbers"),
        (header("ascii", 1) + b"1 2 3 4 5 six\n", "vertex 0: expected 6 numbers"),
        (header("ascii", 1) + b"1 2 nan 4 5 6\n", "point 0: expected coordinates below"),
        (header("ascii", 1) + b"1 2 3 4 5 300\n", "expected colours between 0 and 255"),
        (header("ascii", -1), "expected the element vertex"),
        (header("ascii", 1, COLORS) + b"1 2 3\n", "with the properties x, y and z"),
        (header("ascii", 1, "property list uchar int x\n"), "unexpected 'property list"),
        (header("zipped", 1), "expected a format"),
        (b"ply\nproperty float x\nend_header\n", "with the properties x, y and z"),
        (b"ply\n" + b"comment\n" * 300, "has no end_header"),
    ],
)
def test_damaged_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "bad.ply").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_ply(tmp_path / "bad.ply")
