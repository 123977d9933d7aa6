"""Reading cameras.bin, images.bin and points3D.bin. Counts are checked against the size of the file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from latentfields.errors import InputError
from latentfields.scenes.readers.colmap.model import (
    OTHERS,
    PARAMETERS,
    ColmapCamera,
    ColmapImage,
    ColmapObservations,
    ColmapPoints,
    UnreadCamera,
    camera_of_model,
    points_of_rows,
)

_MAX_NAME = 4096
_OBSERVATION = np.dtype([("position", "<f8", 2), ("point", "<i8")])


def read_cameras(path: Path) -> dict[int, ColmapCamera | UnreadCamera]:
    """Cameras by identifier. Raises InputError when the file is damaged or a model is not supported."""
    cameras: dict[int, ColmapCamera | UnreadCamera] = {}
    models = list(PARAMETERS)
    with _opened(path) as records:
        for _ in range(records.count("cameras", at_least=24)):
            camera_id, model, width, height = records.unpack("<iiQQ")
            if len(models) <= model < len(models) + len(OTHERS):
                name = list(OTHERS)[model - len(models)]
                records.unpack(f"<{OTHERS[name]}d")
                cameras[camera_id] = UnreadCamera(path, camera_id, name)
                continue
            if not 0 <= model < len(models):
                raise UnreadCamera(path, camera_id, f"number {model}").error()
            values = records.unpack(f"<{len(PARAMETERS[models[model]])}d")
            cameras[camera_id] = camera_of_model(path, camera_id, models[model], width, height, values)
    return cameras


def read_images(path: Path) -> list[ColmapImage]:
    """Registered images in the order of the file. Raises InputError when the file is damaged."""
    images = []
    with _opened(path) as records:
        for _ in range(records.count("images", at_least=73)):
            _, *pose, camera_id = records.unpack("<I7dI")
            name = records.name()
            records.skip(24 * records.count("observations", at_least=24))
            images.append(
                ColmapImage(
                    quaternion=np.array(pose[:4]),
                    translation=np.array(pose[4:]),
                    camera_id=camera_id,
                    name=name,
                )
            )
    return images


def read_observations(path: Path) -> list[ColmapObservations]:
    """Read what every image of `read_images` observes. Raises InputError when the file is damaged."""
    observations = []
    with _opened(path) as records:
        for _ in range(records.count("images", at_least=73)):
            records.skip(struct.calcsize("<I7dI"))
            records.name()
            table = records.table(_OBSERVATION, records.count("observations", at_least=24))
            observations.append(ColmapObservations(table["position"], table["point"]))
    return observations


def read_points(path: Path) -> ColmapPoints:
    """Sparse points in the order of the file. Raises InputError when the file is damaged."""

    def rows(records: _Records) -> Iterator[tuple[float, ...]]:
        for _ in range(records.count("points", at_least=51)):
            _, *row, _ = records.unpack("<Q3d3Bd")
            records.skip(8 * records.count("track entries", at_least=8))
            yield tuple(row)

    with _opened(path) as records:
        return points_of_rows(path, rows(records))


class _Records:
    """Little-endian records of a file that is never believed about its own length."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._left = path.stat().st_size

    def unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def count(self, what: str, *, at_least: int) -> int:
        """A number of records of `at_least` so many bytes each."""
        (count,) = self.unpack("<Q")
        if count * at_least > self._left:
            raise InputError(self._path, f"claims {count} {what}, but only {self._left} bytes are left")
        return int(count)

    def table(self, record: np.dtype[Any], count: int) -> npt.NDArray[Any]:
        """`count` records of one layout."""
        return np.frombuffer(self._take(count * record.itemsize), dtype=record)

    def skip(self, size: int) -> None:
        self._left -= size
        self._file.seek(size, 1)

    def name(self) -> str:
        letters = bytearray()
        while (letter := self._take(1)) != b"\0":
            letters += letter
            if len(letters) > _MAX_NAME:
                raise InputError(self._path, "has an image name without an end")
        try:
            return letters.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(self._path, f"image name {bytes(letters[:80])!r} is not UTF-8") from error

    def _take(self, size: int) -> bytes:
        if size > self._left:
            raise InputError(self._path, f"is cut short: {size} bytes expected, {self._left} left")
        self._left -= size
        return self._file.read(size)


@contextmanager
def _opened(path: Path) -> Iterator[_Records]:
    try:
        with path.open("rb") as file:
            yield _Records(path, file)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
