"""What a reader returns: the data set as its files describe it, checked, without pixels.

Poses are camera-to-world in OpenGL axes (x right, y up, z towards the viewer) and float64: world
coordinates may be large, and precision is only given up after normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latentfields.errors import InputError

Array = npt.NDArray[np.float64]

MAX_COORDINATE = 1e9
"""World coordinates beyond this are taken for garbage."""
_RIGID_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Distortion:
    """Polynomial lens distortion, as OpenCV and COLMAP define it; all zero for a pinhole."""

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    @property
    def radial(self) -> tuple[float, float, float, float]:
        """Coefficients of r^2, r^4, r^6 and r^8."""
        return self.k1, self.k2, self.k3, self.k4


PINHOLE = Distortion()


@dataclass(frozen=True)
class Lens:
    """Intrinsics of one image, in pixels; the centre of the first pixel is at (0.5, 0.5)."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: Distortion = PINHOLE


@dataclass(frozen=True)
class DepthFile:
    """A grey 16-bit picture of z-depths; 0 where nothing is seen."""

    file: Path
    unit: float
    """World units per step of the picture."""


@dataclass(frozen=True)
class PosedImage:
    """One image with its camera, and the files that go with it."""

    name: str
    """Name relative to the data set's folder."""
    image: Path
    """File of the picture."""
    pose: Array
    """(4, 4) rigid camera-to-world transform, OpenGL axes."""
    lens: Lens
    """Intrinsics at the size of the stored picture."""
    mask: Path | None = None
    """File of a grey picture that takes the place of the alpha channel: white where the scene is kept."""
    depth: DepthFile | None = None
    """The z-depth of the picture's pixels."""


@dataclass(frozen=True)
class Capture:
    """Posed images, their splits and the sparse points known about the scene."""

    folder: Path
    """The data set's folder."""
    views: Sequence[PosedImage]
    """N posed images."""
    splits: Mapping[str, Sequence[int]]
    """Indices of the views in "train", "val" and "test"."""
    points: Array | None = None
    """(P, 3) sparse points in the world, or None."""
    point_colors: npt.NDArray[np.uint8] | None = None
    """(P, 3) colours of the points, or None."""


def rigid_pose(source: Path, where: str, matrix: Array) -> Array:
    """The (4, 4) pose in `matrix`, (4, 4) or (3, 4), with its rotation made exactly orthonormal.

    Raises InputError, naming `source` and the field `where`, unless the matrix is finite and rigid up to
    rounding.
    """
    if matrix.shape not in ((3, 4), (4, 4)):
        raise InputError(source, f"{where}: expected a 4x4 matrix, got shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError(source, f"{where}: expected finite numbers")
    if matrix.shape == (4, 4) and not np.allclose(matrix[3], (0, 0, 0, 1), atol=1e-6):
        raise InputError(source, f"{where}: expected the last row 0 0 0 1, got {matrix[3].tolist()}")
    rotation, translation = matrix[:3, :3], matrix[:3, 3]
    if np.abs(translation).max() > MAX_COORDINATE:
        raise InputError(
            source, f"{where}: expected a position below {MAX_COORDINATE:g}, got {translation.tolist()}"
        )
    # Entries of a rotation are at most 1; larger ones could overflow in the product.
    error = np.inf if np.abs(rotation).max() > 2 else np.abs(rotation.T @ rotation - np.eye(3)).max()
    if error > _RIGID_TOLERANCE:
        raise InputError(source, f"{where}: expected a rigid pose, but its rotation is not orthonormal")
    if np.linalg.det(rotation) < 0:
        raise InputError(source, f"{where}: expected a rigid pose, but its rotation mirrors (determinant -1)")
    u, _, vt = np.linalg.svd(rotation)
    pose = np.eye(4)
    pose[:3, :3] = u @ vt
    pose[:3, 3] = translation
    return pose


def checked_lens(source: Path, where: str, lens: Lens) -> Lens:
    """`lens`, or InputError naming the field of `source` that cannot be right."""
    if not (lens.width > 0 and lens.height > 0):
        raise InputError(source, f"{where}: expected a positive image size, got {lens.width}x{lens.height}")
    for axis, focal, size in (("x", lens.fx, lens.width), ("y", lens.fy, lens.height)):
        # Wider than 178 degrees or narrower than 0.01 degrees is a wrong unit, not a lens.
        if not (math.isfinite(focal) and 0.01 * size < focal < 1e4 * size):
            raise InputError(
                source, f"{where}: fl_{axis}: expected a positive focal length in pixels, got {focal:g}"
            )
    for axis, center, size in (("x", lens.cx, lens.width), ("y", lens.cy, lens.height)):
        if not (math.isfinite(center) and abs(center) < 1e2 * size):
            raise InputError(
                source, f"{where}: c{axis}: expected a principal point in pixels, got {center:g}"
            )
    distortion = lens.distortion
    if not all(abs(value) < 1e3 for value in (*distortion.radial, distortion.p1, distortion.p2)):
        raise InputError(source, f"{where}: expected small finite distortion coefficients, got {distortion}")
    return lens


def usable_points(source: Path, positions: Array) -> Array:
    """The points (P, 3), or InputError, naming `source` and the first point that is garbage."""
    # Written so that NaN counts as garbage.
    garbage = ~(np.abs(positions) <= MAX_COORDINATE).all(axis=1)
    if garbage.any():
        index = int(np.argmax(garbage))
        raise InputError(
            source,
            f"point {index}: expected coordinates below {MAX_COORDINATE:g}, got {positions[index].tolist()}",
        )
    return positions


def path_inside(folder: Path, source: Path, where: str, name: str) -> Path:
    """The file `name` of `folder`; it need not exist.

    Raises InputError, naming `source` and the field `where`, when the name, with links followed, leaves the
    folder.
    """
    try:
        root = folder.resolve()
        path = (root / name).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(source, f"{where}: {_shown(name)!r} is not a usable file name ({error})") from error
    if not path.is_relative_to(root):
        raise InputError(source, f"{where}: {_shown(name)!r} leaves the data set's folder")
    return path


def _shown(name: str) -> str:
    """A name short enough for one line; of a long one its end, which says most."""
    return name if len(name) <= 80 else f"...{name[-77:]}"


def is_file(path: Path) -> bool:
    """Whether `path` is a file; names that no file can have are none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def existing_file(path: Path, source: Path, where: str) -> Path:
    """`path`, or InputError, naming `source` and the field `where`, when there is no such file."""
    if not is_file(path):
        raise InputError(source, f"{where}: there is no file {str(path)[-200:]}")
    return path


def every_eighth(source: Path, count: int) -> dict[str, list[int]]:
    """Splits for `count` views in order: views 0, 8, 16, ... are "test", the others "train".

    Raises InputError, naming `source`, when that leaves no training view.
    """
    if count < 2:
        raise InputError(source, f"expected at least 2 images to split into train and test, got {count}")
    return {
        "train": [index for index in range(count) if index % 8],
        "val": [],
        "test": list(range(0, count, 8)),
    }
