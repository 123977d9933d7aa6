"""Textures of mesh files: pictures as the renderer takes them, and one warning for all that cannot be read."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from latentfields.scenes.images import MAX_BYTES, MAX_PIXELS, MAX_SIDE

_MAX_TEXTURE_SIDE = 4096


class TextureReader:
    """Reads the textures that one mesh file names, each once, and notes those that cannot be had."""

    def __init__(self, file: Path) -> None:
        """`file` is the mesh file; textures are found from its folder."""
        self.file = file
        self._read: dict[object, NDArray[np.uint8] | None] = {}
        self._missing: dict[str, str] = {}

    def note_missing(self, name: str, reason: str) -> None:
        """Remember that the texture or file `name` could not be read."""
        self._missing.setdefault(name, reason)

    def from_file(self, name: str) -> NDArray[np.uint8] | None:
        """(H, W, 4) RGBA of the picture that the file calls `name`, or None, which is noted."""
        return self.from_bytes(name, lambda: _picture_bytes(beside(self.file, name)), name=name)

    def from_bytes(
        self, key: object, data: Callable[[], bytes], *, name: str, note: bool = True
    ) -> NDArray[np.uint8] | None:
        """(H, W, 4) RGBA of an encoded picture, or None, which is noted under `name` where `note` says so."""
        if key not in self._read:
            try:
                self._read[key] = pixels(Image.open(io.BytesIO(data())))
            except Exception as error:  # the decoders raise whatever their parsers raise
                if not note:
                    return None
                self._read[key] = None
                self.note_missing(name, _reason(error))
        return self._read[key]

    def warn(self) -> None:
        """Warn once, with the names of all textures that were noted as missing."""
        if self._missing:
            listed = ", ".join(f"{name} ({reason})" for name, reason in self._missing.items())
            warnings.warn(
                f"{self.file}: some of its textures could not be read, and it is rendered without: {listed}",
                stacklevel=3,
            )


def _picture_bytes(file: Path) -> bytes:
    """What a file holds. Raises ValueError where that is more than MAX_BYTES, OSError where it cannot be read."""
    if (size := file.stat().st_size) > MAX_BYTES:
        raise ValueError(f"has {size} bytes; at most {MAX_BYTES} are read")
    return file.read_bytes()


def beside(file: Path, name: str) -> Path:
    """The path of what `file` calls `name`: relative to its folder, percent-encoded or with backslashes or not."""
    candidates = [file.parent / name, file.parent / unquote(name)]
    candidates += [file.parent / unquote(name).replace("\\", "/")]
    return next((path for path in candidates if path.is_file()), candidates[0])


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """(H, W, 4) RGBA of a picture, shrunk where it is larger than any rendered view can show.

    Raises ValueError where it claims more than MAX_PIXELS or MAX_SIDE.
    """
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise ValueError(
            f"claims {image.width}x{image.height} pixels; at most {MAX_PIXELS} and {MAX_SIDE} a side are read"
        )
    if image.mode.startswith("I"):
        # Pillow's own conversion cuts 16 bits off at 255.
        grey = np.asarray(image).astype(np.float32)
        # In place: a large picture fits into memory once more, not four times.
        grey /= 257
        np.clip(np.rint(grey, out=grey), 0, 255, out=grey)
        image = Image.fromarray(grey.astype(np.uint8))
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    factor = -(-max(rgba.size) // _MAX_TEXTURE_SIDE)
    return np.asarray(rgba.reduce(factor) if factor > 1 else rgba, dtype=np.uint8)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, UnidentifiedImageError):
        return "no picture of a known kind"
    return " ".join(str(error).split())[:100] or type(error).__name__
