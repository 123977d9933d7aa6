import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from latentfields.errors import InputError
from latentfields.scenes import images
from latentfields.scenes.images import (
    MAX_BYTES,
    MAX_SIDE,
    image_orientation,
    image_size,
    pixel_array,
    quiet_decoding,
    read_image,
    read_mask,
)

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


MASK = np.zeros((12, 20), bool)
MASK[2:9, 3:15] = True
FULL = np.where(MASK, 255, 0).astype(np.uint8)


def palette_mask(colors: list[int]) -> Image.Image:
    image = Image.fromarray(MASK.astype(np.uint8))
    indexed = Image.frombytes("P", image.size, image.tobytes())
    indexed.putpalette(colors)
    return indexed


LABELS = MASK * np.where(np.arange(20) % 2, 3, 7)
MASKS = {
    "dark red of a segmentation's palette": lambda: palette_mask([0, 0, 0, 128, 0, 0]),
    "palette whose object is black": lambda: palette_mask([0, 200, 0, 0, 0, 0]),
    "palette of greys": lambda: palette_mask([0, 0, 0, 255, 255, 255]),
    "palette of near blacks": lambda: palette_mask([0, 0, 0, 1, 1, 1]),
    "0 and 1": lambda: Image.fromarray(MASK.astype(np.uint8)),
    "labels": lambda: Image.fromarray(LABELS.astype(np.uint8)),
    "16 bits, 0 and 1": lambda: Image.fromarray(MASK.astype(np.uint16)),
    "16 bits, labels": lambda: Image.fromarray(LABELS.astype(np.uint16)),
    "16 bits, 0 and 255": lambda: Image.fromarray(FULL.astype(np.uint16)),
    "16 bits, full range": lambda: Image.fromarray(MASK.astype(np.uint16) * 65535),
    "1 bit": lambda: Image.fromarray(MASK),
    "alpha": lambda: Image.merge("RGBA", [Image.fromarray(RAMP)] * 3 + [Image.fromarray(FULL)]),
    "grey and alpha": lambda: Image.merge("LA", [Image.fromarray(RAMP), Image.fromarray(FULL)]),
    "opaque alpha": lambda: Image.fromarray(np.dstack([FULL] * 3 + [np.full_like(FULL, 255)])),
    "colours of instances": lambda: Image.fromarray(
        np.dstack([MASK * 128, (LABELS == 3) * 255, (LABELS == 7) * 40]).astype(np.uint8)
    ),
    "RGB": lambda: Image.fromarray(np.dstack([FULL] * 3)),
    "0 and 255": lambda: Image.fromarray(FULL),
}


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_every_encoding(tmp_path: Path, kind: str) -> None:
    file = saved(tmp_path / "mask.png", MASKS[kind]())
    mask = read_mask(file)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, FULL)
    assert np.array_equal(read_mask(file, reduction=1), FULL)


def test_masks_of_tiff_and_bmp(tmp_path: Path) -> None:
    assert np.array_equal(read_mask(saved(tmp_path / "a.tiff", MASKS["16 bits, 0 and 1"]())), FULL)
    deep = Image.fromarray(MASK.astype(np.int32))
    assert np.array_equal(read_mask(saved(tmp_path / "b.tiff", deep)), FULL)
    assert np.array_equal(read_mask(saved(tmp_path / "a.bmp", MASKS["1 bit"]())), FULL)


def test_soft_masks_are_left_alone(tmp_path: Path) -> None:
    soft = np.linspace(0, 255, 240).astype(np.uint8).reshape(12, 20)
    assert np.array_equal(read_mask(saved(tmp_path / "soft.png", Image.fromarray(soft))), soft)


def test_empty_masks_keep_nothing(tmp_path: Path) -> None:
    empty = np.zeros((12, 20), np.uint8)
    assert not read_mask(saved(tmp_path / "empty.png", Image.fromarray(empty))).any()


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_reduction_averages_blocks(tmp_path: Path, ending: str) -> None:
    rows, columns = np.mgrid[:50, :83]
    smooth = np.stack([2 * columns, 3 * rows, 255 - columns - rows], axis=-1).astype(np.uint8)
    file = saved(tmp_path / f"a.{ending}", Image.fromarray(smooth), quality=98)
    for reduction in (2, 4, 16):
        reduced = read_image(file, reduction=reduction)
        assert reduced.shape == (-(-50 // reduction), -(-83 // reduction), 3)
        whole = smooth[: 50 // reduction * reduction, : 83 // reduction * reduction].astype(float)
        blocks = whole.reshape(50 // reduction, reduction, 83 // reduction, reduction, 3).mean((1, 3))
        assert np.abs(reduced[: len(blocks), : blocks.shape[1]] - blocks).max() < (
            1 if ending == "png" else 4
        )


def test_reduction_of_masks_counts_coverage_of_labels(tmp_path: Path) -> None:
    reduced = read_mask(saved(tmp_path / "m.png", MASKS["0 and 1"]()), reduction=2)
    assert reduced.shape == (6, 10)
    assert reduced[1, 2] == 255
    assert 100 < reduced[1, 1] < 160


@pytest.mark.parametrize("reduction", [1, 2])
def test_upright_pictures(tmp_path: Path, reduction: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    file = saved(tmp_path / "turned.png", Image.fromarray(RAMP), exif=exif)
    assert image_orientation(file) == 6
    assert image_size(file) == (20, 12)
    stored = read_image(file, reduction=reduction)
    assert np.array_equal(read_image(file, reduction=reduction, upright=True), np.rot90(stored, -1))
    assert image_orientation(saved(tmp_path / "plain.png", Image.fromarray(RAMP))) == 1


@pytest.mark.parametrize("size", [(1, MAX_SIDE + 1), (MAX_SIDE + 1, 1)])
def test_pictures_with_a_side_that_none_has_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size).save(tmp_path / "line.png")
    with pytest.raises(InputError, match=rf"line\.png: claims {size[0]}x{size[1]} pixels"):
        read_image(tmp_path / "line.png")


def test_files_longer_than_any_picture_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    Image.new("RGB", (8, 8)).save(path)
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(InputError, match=rf"a\.webp: has {MAX_BYTES + 1} bytes"):
        read_image(path)


def test_pictures_are_copied_whole_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_STRIP", 20)
    values = np.random.default_rng(0).integers(0, 256, (11, 7, 3), np.uint8)
    assert (pixel_array(Image.fromarray(values)) == values).all()
