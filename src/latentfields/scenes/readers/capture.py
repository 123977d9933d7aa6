"""The data set as its files describe it, checked, without pixels: what readers return.

Poses are camera-to-world in OpenGL axes (x right, y up, z towards the viewer) and float64: world
coordinates may be large, and precision is only given up after normalisation.
"""

from __future__ import annotations

import math
import os
import posixpath
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from latentfields.errors import InputError
from latentfields.scenes.images import image_orientation, image_size

Array = npt.NDArray[np.float64]

MAX_COORDINATE = 1e9
"""World coordinates beyond this are taken for garbage."""
_RIGID_TOLERANCE = 1e-3
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""
_SAME_SHAPE = (2, 3, 4)
"""Those that mirror, or turn by half."""
_SHRUNK = 1.2
"""Pictures of the same shape were shrunk or enlarged when their sides differ by this factor or more."""


DistortionModel = Literal["polynomial", "rational", "fisheye", "fov"]


@dataclass(frozen=True)
class Distortion:
    """Lens distortion, as OpenCV and COLMAP define it; all zero for a pinhole."""

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k5: float = 0.0
    k6: float = 0.0
    sx1: float = 0.0
    sy1: float = 0.0
    omega: float = 0.0
    model: DistortionModel = "polynomial"
    """Radial polynomial of the distance to the axis; quotient of two (OpenCV's full model, of which k4 to k6 are the
    denominator); polynomial of the angle to the axis (fisheyes); or COLMAP's FOV model, of `omega` alone."""

    @property
    def radial(self) -> tuple[float, float, float, float]:
        """Coefficients of r^2, r^4, r^6 and r^8."""
        return self.k1, self.k2, self.k3, self.k4

    @property
    def coefficients(self) -> tuple[float, ...]:
        """All numbers."""
        return (*self.radial, self.k5, self.k6, self.p1, self.p2, self.sx1, self.sy1, self.omega)


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

    def reduced(self, step: int) -> Lens:
        """The lens of a picture whose pixels are `step` x `step` of these; those at the far sides may be cut."""
        return replace(
            self,
            width=-(-self.width // step),
            height=-(-self.height // step),
            fx=self.fx / step,
            fy=self.fy / step,
            cx=self.cx / step,
            cy=self.cy / step,
        )

    def resized(self, *, width: int, height: int) -> Lens:
        """The same view on another pixel grid."""
        across, down = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * across,
            fy=self.fy * down,
            cx=self.cx * across,
            cy=self.cy * down,
        )


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
    """File of a picture that takes the place of the alpha channel: not zero where the scene is kept."""
    depth: DepthFile | None = None
    """The z-depth of the picture's pixels."""
    turned: bool = False
    """The lens is that of the picture as its EXIF orientation turns it, not as it is stored."""


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
    missing: Sequence[str] = ()
    """Names of the pictures that the data set lists and that are not there."""


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
    scale = float(np.linalg.norm(rotation[:, 0]))
    # Entries beyond the limit could overflow in the product.
    usable = 1 / MAX_COORDINATE < scale < MAX_COORDINATE and np.abs(rotation).max() < MAX_COORDINATE
    rotation = rotation / scale if usable else rotation
    if not usable or np.abs(rotation.T @ rotation - np.eye(3)).max() > _RIGID_TOLERANCE:
        raise InputError(source, f"{where}: expected a rigid pose, but its rotation is not orthonormal")
    if abs(scale - 1) > _RIGID_TOLERANCE:
        # Exporters of scaled objects leave their scale there; positions have it applied.
        warnings.warn(
            f"{source}: its rotations are scaled by {scale:.4g}; the scale is removed", stacklevel=2
        )
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
    if not all(abs(value) < 1e3 for value in distortion.coefficients):
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


def fitted_lens(source: Path, where: str, lens: Lens, picture: Path) -> tuple[Lens, bool]:
    """`lens` on the pixels that `picture` has; and true when it is that of the picture as EXIF turns it.

    A picture of the same shape but another size was shrunk or enlarged after it was calibrated: intrinsics are scaled
    and a warning says so. Raises InputError, naming the field `where` of `source`, when the shapes differ.
    """
    width, height = image_size(picture)
    if (lens.width, lens.height) == (width, height):
        if image_orientation(picture) in (_SAME_SHAPE if width != height else (*_SAME_SHAPE, *_TURNED)):
            warnings.warn(
                f"{source}: EXIF turns or mirrors some of its pictures, and their sizes do not tell whether that was "
                "done before they were calibrated; they are read as they are stored",
                stacklevel=2,
            )
        return lens, False
    if (lens.width, lens.height) == (height, width) and image_orientation(picture) in _TURNED:
        return lens, True
    if _same_shape((lens.width, lens.height), (width, height)):
        warnings.warn(
            f"{source}: intrinsics are for {lens.width}x{lens.height} pixels, pictures have {width}x{height}; "
            "intrinsics are scaled",
            stacklevel=2,
        )
        return lens.resized(width=width, height=height), False
    turned = "; it was turned after it was calibrated" if (lens.width, lens.height) == (height, width) else ""
    raise InputError(
        source,
        f"{where}: expected the size of {picture.name}, {width}x{height}, got {lens.width}x{lens.height}{turned}",
    )


def _same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """True when one size is the other, shrunk and rounded. Sizes that hardly differ are another picture's."""
    small, large = sorted((first, second))
    ratios = [b / a for a, b in zip(small, large, strict=True)]
    # A side of n pixels was rounded from n - 1/2 to n + 1/2.
    lowest = max(b / (a + 0.5) for a, b in zip(small, large, strict=True))
    highest = min(b / (a - 0.5) for a, b in zip(small, large, strict=True))
    return min(ratios) >= _SHRUNK and lowest <= highest


def path_inside(folder: Path, source: Path, where: str, name: str, *, follow_links: bool = False) -> Path:
    """The file `name` of `folder`; it need not exist. Backslashes are separators where no file has such a name.

    Raises InputError, naming `source` and the field `where`, when the name leaves the folder: by itself, or, unless
    `follow_links`, through links.
    """
    path = _path_inside(folder, source, where, name, follow_links=follow_links)
    if "\\" not in name or is_file(path):
        return path
    return _path_inside(folder, source, where, name.replace("\\", "/"), follow_links=follow_links)


def _path_inside(folder: Path, source: Path, where: str, name: str, *, follow_links: bool) -> Path:
    try:
        root = folder.resolve()
        path = (root / name).resolve()
        spelled = Path(os.path.normpath(root / name))
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(source, f"{where}: {_shown(name)!r} is not a usable file name ({error})") from error
    by_name = spelled.is_relative_to(root)
    if path.is_relative_to(root):
        # Links within the folder: the file has one name, whichever way leads to it.
        return path
    if by_name and follow_links:
        return spelled
    link = " through a link, which only `follow_links` allows" if by_name else ""
    raise InputError(source, f"{where}: {_shown(name)!r} leaves the data set's folder{link}")


def _shown(name: str) -> str:
    """A name short enough for one line; of a long one its end, which says most."""
    return name if len(name) <= 80 else f"...{name[-77:]}"


def is_file(path: Path) -> bool:
    """True when `path` is a file; names that no file can have are none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


class MissingFile(InputError):
    """A file that a data set lists and does not have."""


def existing_file(
    folder: Path,
    source: Path,
    where: str,
    name: str,
    *,
    suffixes: Sequence[str] = ("",),
    follow_links: bool = False,
) -> Path:
    """The file `name` of `folder`, with the first of the suffixes that there is.

    Raises InputError, naming `source` and the field `where`, for names that `path_inside` refuses, and MissingFile
    when there is no such file.
    """
    paths = []
    # One after the other: following links takes longer than all else about a file that is listed.
    for suffix in suffixes:
        path = path_inside(folder, source, where, name + suffix, follow_links=follow_links)
        if is_file(path):
            return path
        paths.append(path)
    raise MissingFile(source, f"{where}: there is no file {str(paths[0])[-200:]}")


class MissingPicture(InputError):
    """A picture that a data set lists and does not have."""


def existing_picture(
    folder: Path,
    source: Path,
    where: str,
    name: str,
    *,
    places: Sequence[str] = ("",),
    suffixes: Sequence[str] = ("",),
    follow_links: bool = False,
) -> Path:
    """As `existing_file`, in the first of the `places` in `folder` that has it.

    The case of its ending does not count. Of a path on another machine it is the picture that the longest end of that
    path leads to; a warning says so. Raises MissingPicture where there is none.
    """
    first: InputError | None = None
    for end in (name, *_ends(name)):
        for spelled in _spellings(end):
            for place in places:
                try:
                    path = f"{place}/{spelled}" if place else spelled
                    found = existing_file(
                        folder, source, where, path, suffixes=suffixes, follow_links=follow_links
                    )
                except InputError as error:
                    first = first or error
                    # Paths of another machine leave the folder; nothing else may.
                    if isinstance(error, MissingFile) or _ABSOLUTE.match(name):
                        continue
                    raise
                if end != name:
                    warnings.warn(
                        f"{source}: its pictures are named by paths that are not here, and found by their ends",
                        stacklevel=2,
                    )
                return found
    assert first is not None
    raise MissingPicture(source, first.problem) if isinstance(first, MissingFile) else first


_ABSOLUTE = re.compile(r"([A-Za-z]:)?[\\/]")


def _ends(name: str) -> Iterator[str]:
    """The ends of an absolute path, the longest first; none of another."""
    if _ABSOLUTE.match(name):
        parts = name.replace("\\", "/").strip("/").split("/")
        for start in range(1, len(parts)):
            yield "/".join(parts[start:])


def _spellings(name: str) -> Iterator[str]:
    """A name as it is, and with its ending in small and in capital letters."""
    stem, dot, ending = name.rpartition(".")
    yield name
    if dot and ending.isalnum():
        yield from (f"{stem}.{other}" for other in (ending.lower(), ending.upper()) if other != ending)


class Named(Protocol):
    """Something with the name of a picture."""

    @property
    def name(self) -> str:
        """Relative to a folder of the data set, with forward slashes."""
        ...


Record = TypeVar("Record")
View = TypeVar("View", bound=Named)


@dataclass(frozen=True)
class Listing(Generic[View]):
    """The pictures that a data set lists, whether they are there or not."""

    entries: Sequence[tuple[str, View | None]]
    """Name and view, None where the picture is missing."""

    @property
    def views(self) -> list[View]:
        """Those that are there."""
        return [view for _, view in self.entries if view is not None]

    @property
    def missing(self) -> list[str]:
        """Names of those that are not."""
        return [name for name, view in self.entries if view is None]

    def by_name(self) -> Listing[View]:
        """The same, ordered by name."""
        return Listing(sorted(self.entries, key=lambda entry: entry[0]))

    @property
    def positions(self) -> list[int]:
        """The position of every view among all that are listed, from 0; that of the first of those with one name."""
        distinct = {name: index for index, name in enumerate(dict.fromkeys(name for name, _ in self.entries))}
        return [distinct[name] for name, view in self.entries if view is not None]

    def __len__(self) -> int:
        return len({name for name, _ in self.entries})


def listed_views(
    source: Path, records: Sequence[Record], read: Callable[[Record], View], *, name: Callable[[Record], str]
) -> Listing[View]:
    """Read the records whose pictures are there, in order; a warning counts the others.

    `read` raises MissingPicture of the others, whose name in the folder is `name`; what it warns of in many views is
    said once. Raises InputError, naming the first one, when more than half of the pictures are missing, or all but one.
    """
    entries: list[tuple[str, View | None]] = []
    missing: list[MissingPicture] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for record in records:
            try:
                view = read(record)
            except MissingPicture as error:
                missing.append(error)
                entries.append((posixpath.normpath(name(record).replace("\\", "/")), None))
            else:
                entries.append((view.name, view))
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        warnings.warn(text, stacklevel=2)
    if missing:
        counted = f"{len(missing)} of {len(records)} pictures are missing"
        if 2 * len(missing) > len(records) or len(records) - len(missing) < 2:
            raise InputError(source, f"{missing[0].problem}; {counted}")
        warnings.warn(f"{source}: {counted} and left out, the first: {missing[0].problem}", stacklevel=2)
    return Listing(entries)


def every_eighth(source: Path, count: int, *, positions: Sequence[int] | None = None) -> dict[str, list[int]]:
    """Splits for `count` views in order: views 0, 8, 16, ... are "test", the others "train".

    `positions` are where they are in a list with others that are missing: none moves to another split because of those.
    Raises InputError, naming `source`, when that leaves no training view.
    """
    if count < 2:
        raise InputError(source, f"expected at least 2 images to split into train and test, got {count}")
    positions = range(count) if positions is None else positions
    return by_position(source, [position % 8 == 0 for position in positions], "every eighth picture")


def by_position(source: Path, tests: Sequence[bool], which: str) -> dict[str, list[int]]:
    """Splits "test" of the views that `tests` says, `which` in words, and "train" of the others.

    Where all test views are missing, the first view takes their place, and a warning says so. Raises InputError, naming
    `source`, when no training view is there.
    """
    if not any(tests):
        warnings.warn(
            f"{source}: {which} is a test view, and all of those are missing; the first that is there takes their "
            "place",
            stacklevel=2,
        )
        tests = [index == 0 for index in range(len(tests))]
    splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for index, test in enumerate(tests):
        splits["test" if test else "train"].append(index)
    if not splits["train"]:
        raise InputError(source, f"{which} is a test view, and all others are missing")
    return splits
