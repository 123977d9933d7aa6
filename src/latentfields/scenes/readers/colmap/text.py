"""Reading cameras.txt, images.txt and points3D.txt."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from latentfields.errors import InputError
from latentfields.scenes.readers.colmap.model import (
    PARAMETERS,
    ColmapCamera,
    ColmapImage,
    ColmapObservations,
    ColmapPoints,
    UnreadCamera,
    camera_of_model,
    points_of_rows,
)


def read_cameras(path: Path) -> dict[int, ColmapCamera | UnreadCamera]:
    """Cameras by identifier. Raises InputError when a line is malformed."""
    cameras: dict[int, ColmapCamera | UnreadCamera] = {}
    for number, (line,) in _records(path):
        with _line_errors(path, number, "CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS"):
            camera_id, model, width, height, *values = line.split()
            model = model.upper()
            if model not in PARAMETERS:
                cameras[int(camera_id)] = UnreadCamera(path, int(camera_id), model)
                continue
            cameras[int(camera_id)] = camera_of_model(
                path, int(camera_id), model, int(width), int(height), [float(value) for value in values]
            )
    return cameras


def read_images(path: Path) -> list[ColmapImage]:
    """Registered images in the order of the file. Raises InputError when a line is malformed."""
    images = []
    for number, (line, _) in _records(path, lines_each=2):
        with _line_errors(path, number, "IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME"):
            # Names may contain spaces.
            _, qw, qx, qy, qz, tx, ty, tz, camera_id, name = line.split(maxsplit=9)
            images.append(
                ColmapImage(
                    quaternion=np.array([float(qw), float(qx), float(qy), float(qz)]),
                    translation=np.array([float(tx), float(ty), float(tz)]),
                    camera_id=int(camera_id),
                    name=name,
                )
            )
    return images


def read_observations(path: Path) -> list[ColmapObservations]:
    """Read what every image of `read_images` observes. Raises InputError when a line is malformed."""
    observations = []
    for number, (_, line) in _records(path, lines_each=2):
        with _line_errors(path, number + 1, "triples of X, Y, POINT3D_ID"):
            words = np.array(line.split(), dtype=np.str_).reshape(-1, 3)
            observations.append(
                ColmapObservations(words[:, :2].astype(np.float64), words[:, 2].astype(np.int64))
            )
    return observations


def read_points(path: Path) -> ColmapPoints:
    """Sparse points in the order of the file. Raises InputError when a line is malformed."""

    def rows() -> Iterator[tuple[float, ...]]:
        for number, (line,) in _records(path):
            with _line_errors(path, number, "POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK"):
                _, x, y, z, red, green, blue, *_ = line.split(maxsplit=8)
                row = (float(x), float(y), float(z), float(red), float(green), float(blue))
            yield row

    return points_of_rows(path, rows())


def _records(path: Path, *, lines_each: int = 1) -> Iterator[tuple[int, list[str]]]:
    """Number of the first line, and the lines, of every record; comments and blank lines between are passed over.

    The second line of an image, its observations, may be blank.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = enumerate(file, start=1)
            waiting = next(lines, None)
            while waiting is not None:
                number, line = waiting
                waiting = next(lines, None)
                if not line.strip() or line.startswith("#"):
                    continue
                others: list[str] = []
                # Editors and scripts drop blank lines: then the next image follows at once.
                while len(others) < lines_each - 1 and waiting is not None and not _is_image(waiting[1]):
                    others.append(waiting[1])
                    waiting = next(lines, None)
                yield number, [line.strip(), *others, *[""] * (lines_each - 1 - len(others))]
    except UnicodeDecodeError as error:
        raise InputError(path, f"is not UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error


def _is_image(line: str) -> bool:
    """True for the first line of an image: nine numbers, the second to fifth a unit quaternion, and a name.

    Observations are numbers in threes, so that a line with other words, or of another length, is none.
    """
    words = line.split()
    if len(words) < 10 or not all(map(_is_number, words[:9])):
        return False
    if abs(math.hypot(*map(float, words[1:5])) - 1) > 0.01:
        return False
    # Names may be numbers, such as 0001.
    return len(words) % 3 != 0 or not all(map(_is_number, words[9:]))


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


@contextmanager
def _line_errors(path: Path, number: int, expected: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (ValueError, OverflowError) as error:
        raise InputError(path, f"line {number}: expected {expected}") from error
