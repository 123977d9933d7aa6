"""Pictures from disk as 8-bit arrays with straight alpha, whatever they are stored as."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

from latentfields.errors import InputError

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 80_000_000
"""Larger pictures are refused unread: a small file can claim any size."""
MAX_SIDE = 65_535
"""Pixels along a side, what JPEG has: decoders keep something for every row, however short."""
MAX_BYTES = 8 * MAX_PIXELS
"""Longer files hold more than so many pixels of 16 bits and four channels could take; some decoders read all of it."""
_STRIP = 2**20
"""Pixels that are copied at a time."""
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
_COLOURED = 32
"""Channels of grey pictures differ by less, even after JPEG."""
_NOISE = 24
"""How far JPEG files of black and white are off, near edges."""
_ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Silence decoders' warnings (odd metadata, large pictures); their errors become InputError all the same.

    Warning filters belong to the process: enter this before starting threads that decode, leave it after
    them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) in pixels, from the header alone.

    Raises InputError when the file is missing, is no picture, or claims more than MAX_PIXELS.
    """
    with quiet_decoding(), open_picture(path) as image:
        return image.size


def image_orientation(path: Path) -> int:
    """The EXIF orientation of a picture, 1 (as stored) to 8. Raises InputError as `image_size`."""
    with quiet_decoding(), open_picture(path) as image:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def has_alpha_channel(path: Path) -> bool:
    """True where `read_image` finds an alpha channel, by the header alone. Raises InputError as `image_size`."""
    with quiet_decoding(), open_picture(path) as image:
        return _has_alpha_channel(image)


def _has_alpha_channel(image: Image.Image) -> bool:
    deep = image.mode in _DEEP_MODES
    return not deep and (image.mode in _ALPHA_MODES or "transparency" in image.info)


def read_image(path: Path, *, reduction: int = 1, upright: bool = False) -> Pixels:
    """The picture as (H, W, 3) uint8, or as (H, W, 4) with straight alpha when it has an alpha channel.

    Grey becomes RGB, palettes are looked up, 16-bit grey is scaled. `reduction` averages so many pixels along each
    side while decoding, which JPEG files do in a fraction of the time; a last block that is not whole is averaged by
    itself. `upright` turns the picture as its EXIF orientation says. Raises InputError when decoding fails.
    """
    with open_picture(path) as image:
        if image.mode in _DEEP_MODES:
            grey = Image.fromarray(_deep_grey(path, image))
            return np.repeat(np.asarray(_reduced(grey, reduction))[:, :, None], 3, axis=2)
        if image.mode == "F":
            raise InputError(path, "expected a picture of 8 or 16 bits a channel, got floating point")
        reduction //= _draft(image, reduction, whole=upright)
        # Every copy of a large picture that is not made counts.
        turned = ImageOps.exif_transpose(image) if upright and _is_turned(image) else image
        mode = "RGBA" if _has_alpha_channel(turned) else "RGB"
        return pixel_array(_reduced(turned if turned.mode == mode else turned.convert(mode), reduction))


def _is_turned(image: Image.Image) -> bool:
    return bool(image.getexif().get(ExifTags.Base.Orientation, 1) != 1)


def pixel_array(image: Image.Image) -> Pixels:
    """The values (H, W, C) of a picture of several channels of 8 bits, in memory once more, not three times."""
    pixels = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    for rows, strip in _strips(image):
        pixels[rows] = strip
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """The values of a picture, some rows at a time."""
    count = max(1, _STRIP // image.width)
    for top in range(0, image.height, count):
        bottom = min(top + count, image.height)
        yield slice(top, bottom), np.asarray(image.crop((0, top, image.width, bottom)))


def read_mask(path: Path, *, reduction: int = 1) -> Pixels:
    """Coverage (H, W) of 8 bits, 255 where the scene is kept; `reduction` as for `read_image`.

    Masks of labels (palettes, 0 and 1, small numbers of any depth) keep whatever is not 0. Grey ones that reach the
    bright half are coverage as they are; of pictures with an alpha channel that is not opaque it is the coverage.
    Raises InputError when it cannot be decoded.
    """
    with open_picture(path) as image:
        values = _mask_values(path, image)
        if image.format == "JPEG":
            # What is black or white was stored with a little noise.
            values = np.where(values < _NOISE, 0, np.where(values > 255 - _NOISE, 255, values)).astype(
                np.uint8
            )
    coverage: Pixels = values if values.max(initial=0) >= 128 else _where(values > 0)
    return coverage if reduction == 1 else np.asarray(_reduced(Image.fromarray(coverage), reduction))


def _where(kept: npt.NDArray[np.bool_]) -> Pixels:
    """255 where something is kept, else 0."""
    scaled: Pixels = kept.astype(np.uint8) * np.uint8(255)
    return scaled


def _mask_values(path: Path, image: Image.Image) -> Pixels:
    if image.mode == "P" and "transparency" not in image.info:
        colors = pixel_array(image.convert("RGB"))
        if (colors != colors[..., :1]).any():
            # Of a coloured palette the index is the label; its colour is for the eye alone.
            return _where(np.asarray(image) > 0)
    if image.mode in _DEEP_MODES:
        labels = np.asarray(image)
        # Labels, or 8 bits in a deeper file: scaled from 16 bits they would vanish.
        if labels.min() >= 0 and labels.max() <= 255:
            return labels.astype(np.uint8)
        return _deep_grey(path, image)
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        alpha = np.array((image if "A" in image.getbands() else image.convert("RGBA")).getchannel("A"))
        if alpha.min() < 255:
            return alpha
    if image.mode in ("RGB", "RGBA"):
        colors = pixel_array(image)[..., :3]
        if np.ptp(colors, axis=-1).max() > _COLOURED:
            # Labels as colours: their brightness says nothing.
            return _where(colors.max(axis=-1) > 0)
        del colors
    return np.array(image.convert("L"))


def _draft(image: Image.Image, reduction: int, *, whole: bool) -> int:
    """Let the JPEG decoder average blocks of 2, 4 or 8 pixels where that divides `reduction`; returns their side.

    With `whole` only blocks that leave no part over: of a picture that is turned, it would come to lie first.
    """
    sides = (reduction, image.width, image.height) if whole else (reduction,)
    factor = next((factor for factor in (8, 4, 2) if all(side % factor == 0 for side in sides)), 1)
    if factor == 1 or image.format != "JPEG":
        return 1
    width = image.width
    drafted = image.draft(None, (width // factor, image.height // factor))
    return 1 if drafted is None else round(width / drafted[1][2])


def _reduced(image: Image.Image, reduction: int) -> Image.Image:
    return image if reduction == 1 else image.reduce(reduction)


def _deep_grey(path: Path, image: Image.Image) -> Pixels:
    grey = np.empty((image.height, image.width), np.uint8)
    for rows, strip in _strips(image):
        values = strip.astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(path, "expected a picture of 8 or 16 bits a channel, got 32 bits")
        grey[rows] = (values * 255 + 32767) // 65535
    return grey


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """A picture whose header is read and whose pixels are not.

    Raises InputError when the file is missing, has more than MAX_BYTES, is of no known format or claims more than
    MAX_PIXELS or MAX_SIDE, and in place of anything that is raised while the block works with the picture.
    """
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(path, f"has {size} bytes; pictures of at most {MAX_BYTES} are read")
        # Opened by the path, which may be in a shard.
        with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
                raise InputError(
                    path,
                    f"claims {width}x{height} pixels; at most {MAX_PIXELS} and {MAX_SIDE} a side are read",
                )
            yield image
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(path, "there is no such file") from error
    except Image.DecompressionBombError as error:
        raise InputError(path, f"claims too many pixels; at most {MAX_PIXELS} are read") from error
    except Exception as error:  # decoders raise nearly any type on damaged files
        raise InputError(
            path, f"cannot be read as a picture ({' '.join(str(error).split())[:120]})"
        ) from error
