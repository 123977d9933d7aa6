"""Frames of the transforms*.json family: what NeRF-synthetic, Nerfstudio and IG-AE files have in common."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np

from latentfields.scenes.images import image_size
from latentfields.scenes.readers.capture import (
    DepthFile,
    Distortion,
    Lens,
    PosedImage,
    checked_lens,
    existing_file,
    is_file,
    path_inside,
    rigid_pose,
)
from latentfields.scenes.readers.json_fields import JsonObject

OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Right factor of a camera-to-world pose: x right, y down, z forward becomes x right, y up, z backward."""

_MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
_MILLIMETRE = 1e-3
"""The unit of depth maps in metres that state none, as in Nerfstudio."""


def read_frame(folder: Path, frame: JsonObject, *, axes: Literal["opengl", "opencv"]) -> PosedImage:
    """One entry of "frames" whose pose is given in `axes`.

    Raises InputError when the image is missing, lies outside of `folder` or has not the stated size, when
    the pose is not rigid, and when the intrinsics are missing or impossible.
    """
    image = _image_file(folder, frame)
    pose = rigid_pose(frame.source, frame.place("transform_matrix"), frame.matrix("transform_matrix"))
    return PosedImage(
        name=image.relative_to(folder.resolve()).as_posix(),
        image=image,
        pose=pose if axes == "opengl" else pose @ OPENCV_TO_OPENGL,
        lens=read_lens(frame, image),
        mask=_side_file(folder, frame, "mask_path"),
        depth=_depth_file(folder, frame),
    )


def read_lens(frame: JsonObject, image: Path) -> Lens:
    """Intrinsics of a frame: fl_x, fl_y, cx, cy, w, h, or camera_angle_x (radians); k1 to k4, p1, p2."""
    width, height = image_size(image)
    for name, size in (("w", width), ("h", height)):
        if name in frame and frame.number(name) != size:
            raise frame.fail(name, f"is {frame.number(name):g}, but {image.name} is {width}x{height}")
    _check_model(frame)
    fx = frame.number("fl_x") if "fl_x" in frame else _focal_from_angle(frame, "camera_angle_x", width)
    if "fl_y" in frame:
        fy = frame.number("fl_y")
    else:
        fy = _focal_from_angle(frame, "camera_angle_y", height) if "camera_angle_y" in frame else fx
    lens = Lens(
        width=width,
        height=height,
        fx=fx,
        fy=fy,
        cx=frame.number("cx", default=width / 2),
        cy=frame.number("cy", default=height / 2),
        distortion=Distortion(
            **{name: frame.number(name, default=0.0) for name in ("k1", "k2", "k3", "k4", "p1", "p2")}
        ),
    )
    return checked_lens(frame.source, frame.where, lens)


def _focal_from_angle(frame: JsonObject, name: str, size: int) -> float:
    if name not in frame:
        raise frame.fail(name, "expected fl_x in pixels or camera_angle_x in radians, got neither")
    angle = frame.number(name)
    if not 0 < angle < math.pi:
        raise frame.fail(name, f"expected an angle between 0 and pi radians, got {angle:g}")
    return 0.5 * size / math.tan(0.5 * angle)


def _check_model(frame: JsonObject) -> None:
    model = frame.text("camera_model") if "camera_model" in frame else "OPENCV"
    if model not in _MODELS or frame.flag("is_fisheye"):
        raise frame.fail("camera_model", f"{model} is not supported; expected one of {', '.join(_MODELS)}")


def _image_file(folder: Path, frame: JsonObject) -> Path:
    name, where = frame.text("file_path"), frame.place("file_path")
    path = path_inside(folder, frame.source, where, name)
    # NeRF-synthetic leaves the extension out.
    with_suffix = path_inside(folder, frame.source, where, f"{name}.png")
    if not is_file(path) and is_file(with_suffix):
        return with_suffix
    return existing_file(path, frame.source, where)


def _side_file(folder: Path, frame: JsonObject, field: str) -> Path | None:
    if field not in frame:
        return None
    where = frame.place(field)
    return existing_file(path_inside(folder, frame.source, where, frame.text(field)), frame.source, where)


def _depth_file(folder: Path, frame: JsonObject) -> DepthFile | None:
    file = _side_file(folder, frame, "depth_file_path")
    if file is None:
        return None
    unit = frame.number("depth_unit_scale_factor", default=_MILLIMETRE)
    if unit <= 0:
        raise frame.fail("depth_unit_scale_factor", f"expected a positive number, got {unit:g}")
    return DepthFile(file=file, unit=unit)
