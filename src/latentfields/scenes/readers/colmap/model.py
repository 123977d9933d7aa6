"""The contents of a COLMAP sparse model, whichever way it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Array, DistortionModel, usable_points

PARAMETERS = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "OPENCV_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
    "FOV": ("fx", "fy", "cx", "cy", "omega"),
    "SIMPLE_RADIAL_FISHEYE": ("f", "cx", "cy", "k1"),
    "RADIAL_FISHEYE": ("f", "cx", "cy", "k1", "k2"),
    "THIN_PRISM_FISHEYE": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "sx1", "sy1"),
}
"""Camera models that are read and their parameters, in the order of COLMAP's own numbers for them."""
OTHERS = {
    "RAD_TAN_THIN_PRISM_FISHEYE": 16,
    "SIMPLE_DIVISION": 4,
    "DIVISION": 5,
    "SIMPLE_FISHEYE": 3,
    "FISHEYE": 4,
    "EUCM": 6,
    "EQUIRECTANGULAR": 2,
}
"""Those that follow, and how many parameters they have."""


@dataclass(frozen=True)
class ColmapCamera:
    """Intrinsics shared by some images."""

    width: int
    height: int
    parameters: dict[str, float]
    """Named as in PARAMETERS."""
    model: str
    """A name in PARAMETERS."""


@dataclass(frozen=True)
class ColmapImage:
    """A registered image; its pose is world-to-camera, x right, y down, z forward."""

    quaternion: Array
    """(4,) w, x, y, z, as stored."""
    translation: Array
    """(3,)."""
    camera_id: int
    name: str
    """Relative to the folder of the images."""


@dataclass(frozen=True)
class ColmapObservations:
    """The keypoints of one image. Only correspondences need them; readers of scenes pass them over."""

    positions: Array
    """(K, 2) column and row in the picture as stored, in pixels; centres at +0.5."""
    points: npt.NDArray[np.int64]
    """(K,) identifiers of the sparse points that they are views of; -1 without one."""


@dataclass(frozen=True)
class ColmapPoints:
    """Sparse points."""

    positions: Array
    """(P, 3) in the world."""
    colors: npt.NDArray[np.uint8]
    """(P, 3)."""


def camera_of_model(
    source: Path, camera_id: int, model: str, width: int, height: int, values: Sequence[float]
) -> ColmapCamera:
    """A camera from parameters in COLMAP's order. Raises InputError when their number is wrong."""
    names = PARAMETERS[model]
    if len(values) != len(names):
        raise InputError(
            source, f"camera {camera_id}: {model} has {len(names)} parameters, got {len(values)}"
        )
    parameters = dict(zip(names, values, strict=True))
    return ColmapCamera(width=width, height=height, parameters=parameters, model=model)


def distortion_kind(model: str) -> DistortionModel:
    """The formula that a camera model's coefficients belong to."""
    if model.endswith("FISHEYE"):
        return "fisheye"
    if model == "FULL_OPENCV":
        return "rational"
    return "fov" if model == "FOV" else "polynomial"


@dataclass(frozen=True)
class UnreadCamera:
    """A camera of a model that is not in PARAMETERS. It matters where a picture was taken with it."""

    source: Path
    number: int
    model: str

    def error(self) -> InputError:
        """What is wrong with it."""
        return InputError(
            self.source,
            f"camera {self.number}: model {self.model} is not supported; expected one of {', '.join(PARAMETERS)} "
            "(COLMAP's image_undistorter converts the others)",
        )


def camera_of_image(
    source: Path, where: str, image: ColmapImage, cameras: Mapping[int, ColmapCamera | UnreadCamera]
) -> ColmapCamera:
    """The camera of an image. Raises InputError, naming `where`, when there is none, or none that can be read."""
    camera = cameras.get(image.camera_id)
    if camera is None:
        raise InputError(source, f"{where}: refers to camera {image.camera_id}, which the model lacks")
    if isinstance(camera, UnreadCamera):
        raise camera.error()
    return camera


def points_of_rows(source: Path, rows: Iterable[tuple[float, ...]]) -> ColmapPoints:
    """Points from rows of x, y, z, red, green, blue. Raises InputError when a number is impossible."""
    table = np.array(list(rows), dtype=np.float64).reshape(-1, 6)
    positions, colors = usable_points(source, table[:, :3]), table[:, 3:]
    if not ((colors >= 0) & (colors <= 255)).all():
        raise InputError(source, "expected colours between 0 and 255")
    return ColmapPoints(positions=positions, colors=colors.astype(np.uint8))
