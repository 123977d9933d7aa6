import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from latentfields.errors import InputError
from latentfields.scenes.images import image_size, quiet_decoding, read_image, read_mask

RAMP = np.arange(0, 240, dtype=np.uint8).reshape(12, 20)


def saved(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def test_rgb_and_rgba_are_read_as_stored(tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (5, 7, 4)).astype(np.uint8)
    assert np.array_equal(read_image(saved(tmp_path / "a.png", Image.fromarray(rgba))), rgba)
    rgb = np.ascontiguousarray(rgba[..., :3])
    assert np.array_equal(read_image(saved(tmp_path / "b.png", Image.fromarray(rgb))), rgb)
    assert image_size(tmp_path / "b.png") == (7, 5)


def test_grey_becomes_rgb(tmp_path: Path) -> None:
    pixels = read_image(saved(tmp_path / "grey.png", Image.fromarray(RAMP)))
    assert np.array_equal(pixels, np.stack([RAMP] * 3, axis=-1))
    assert np.array_equal(read_mask(tmp_path / "grey.png"), RAMP)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    deep = RAMP.astype(np.uint16) * 257
    pixels = read_image(saved(tmp_path / "deep.png", Image.fromarray(deep)))
    assert np.array_equal(pixels[..., 1], RAMP)
    assert np.array_equal(read_mask(tmp_path / "deep.png"), RAMP)


def test_sixteen_bit_colour(tmp_path: Path) -> None:
    rgb = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=-1)
    rows = b"".join(b"\0" + (row.astype(">u2") * 257).tobytes() for row in rgb)
    header = struct.pack(">IIBBBBB", 20, 12, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    (tmp_path / "deep.png").write_bytes(data)
    assert np.array_equal(read_image(tmp_path / "deep.png"), rgb)


def test_palettes_are_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    pixels = read_image(saved(tmp_path / "palette.png", image))
    assert pixels.tolist() == [[[10, 20, 30], [200, 100, 50]]]
    pixels = read_image(saved(tmp_path / "clear.png", image, transparency=bytes([0, 128])))
    assert pixels.tolist() == [[[10, 20, 30, 0], [200, 100, 50, 128]]]


def test_grey_with_alpha(tmp_path: Path) -> None:
    image = Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(255 - RAMP)])
    pixels = read_image(saved(tmp_path / "la.png", image))
    assert np.array_equal(pixels[..., 2], RAMP)
    assert np.array_equal(pixels[..., 3], 255 - RAMP)


def test_float_pictures_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.tiff", Image.fromarray(RAMP.astype(np.float32)))
    with pytest.raises(InputError, match=r"f\.tiff: expected a picture of 8 or 16 bits a channel"):
        read_image(path)


def test_missing_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.png: there is no such file"):
        image_size(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(InputError, match=r"text\.png: cannot be read as a picture"):
        image_size(tmp_path / "text.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    path = saved(tmp_path / f"cut.{suffix}", Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"cut\.\w+: cannot be read as a picture") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("width", "height"), [(12_000, 9_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused_from_their_header(tmp_path: Path, width: int, height: int) -> None:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + body
        + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    )
    body = zlib.compress(bytes(100))
    data += struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", zlib.crc32(b"IDAT" + body))
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(InputError, match=r"bomb\.png: (claims|cannot be read)"):
        image_size(tmp_path / "bomb.png")


def test_decoders_warnings_stay_inside() -> None:
    with quiet_decoding():
        warnings.warn("odd metadata", UserWarning, stacklevel=1)
