"""Pictures from disk as 8-bit arrays with straight alpha, whatever they are stored as."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from latentfields.errors import InputError

Pixels = npt.NDArray[np.uint8]

MAX_PIXELS = 80_000_000
"""Larger pictures are refused unread: a small file can claim any size."""
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
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


def read_image(path: Path) -> Pixels:
    """The picture as (H, W, 3) uint8, or as (H, W, 4) with straight alpha when it has an alpha channel.

    Grey becomes RGB, palettes are looked up, 16-bit grey is scaled. Raises InputError when decoding fails.
    """
    with open_picture(path) as image:
        if image.mode in _DEEP_MODES:
            return np.repeat(_deep_grey(path, image)[:, :, None], 3, axis=2)
        if image.mode == "F":
            raise InputError(path, "expected a picture of 8 or 16 bits a channel, got floating point")
        has_alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
        return np.array(image.convert("RGBA" if has_alpha else "RGB"))


def read_mask(path: Path) -> Pixels:
    """A grey picture (H, W) of 8 bits. Raises InputError when it cannot be decoded."""
    with open_picture(path) as image:
        return _deep_grey(path, image) if image.mode in _DEEP_MODES else np.array(image.convert("L"))


def _deep_grey(path: Path, image: Image.Image) -> Pixels:
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise InputError(path, "expected a picture of 8 or 16 bits a channel, got 32 bits")
    return ((values * 255 + 32767) // 65535).astype(np.uint8)


@contextmanager
def open_picture(path: Path) -> Iterator[Image.Image]:
    """A picture whose header is read and whose pixels are not.

    Raises InputError when the file is missing, is of no known format or claims more than MAX_PIXELS, and in
    place of anything that is raised while the block works with the picture.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise InputError(path, f"claims {width}x{height} pixels; at most {MAX_PIXELS} are read")
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
