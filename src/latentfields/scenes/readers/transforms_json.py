"""Frames of the transforms*.json family: what NeRF-synthetic, Nerfstudio and IG-AE files have in common."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from latentfields.scenes.images import image_size
from latentfields.scenes.readers.capture import (
    DepthFile,
    Distortion,
    DistortionModel,
    Lens,
    PosedImage,
    checked_lens,
    existing_file,
    existing_picture,
    fitted_lens,
    rigid_pose,
)
from latentfields.scenes.readers.json_fields import JsonObject

OPENCV_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
"""Right factor of a camera-to-world pose: x right, y down, z forward becomes x right, y up, z backward."""

_POLYNOMIAL = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
_FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE")
_COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2", "k5", "k6", "sx1", "sy1")
_ENDINGS = ("", ".png", ".jpg", ".jpeg", ".JPG", ".JPEG", ".PNG", ".webp", ".tif", ".tiff", ".bmp")
"""NeRF-synthetic leaves the ending out; what is derived from it may have other pictures."""
_MILLIMETRE = 1e-3
"""The unit of depth maps in metres that state none, as in Nerfstudio."""


def read_frame(
    folder: Path, frame: JsonObject, *, axes: Literal["opengl", "opencv"], follow_links: bool = False
) -> PosedImage:
    """One entry of "frames" whose pose is given in `axes`; `follow_links` as for `load_scene`.

    Raises InputError when the image is missing, lies outside of `folder` or has not the stated size, when
    the pose is not rigid, and when the intrinsics are missing or impossible.
    """
    image = _image_file(folder, frame, follow_links=follow_links)
    lens, turned = read_lens(frame, image)
    pose = rigid_pose(frame.source, frame.place("transform_matrix"), frame.matrix("transform_matrix"))
    return PosedImage(
        name=image.relative_to(folder.resolve()).as_posix(),
        image=image,
        pose=pose if axes == "opengl" else pose @ OPENCV_TO_OPENGL,
        lens=lens,
        mask=_side_file(folder, frame, "mask_path", follow_links=follow_links),
        depth=_depth_file(folder, frame, follow_links=follow_links),
        turned=turned,
    )


def listed_name(frame: JsonObject) -> str:
    """What a frame calls its picture."""
    return frame.text("file_path")


def read_lens(frame: JsonObject, image: Path) -> tuple[Lens, bool]:
    """Intrinsics of a frame: fl_x, fl_y, cx, cy, w, h, or camera_angle_x (radians), and lens coefficients.

    Where w and h are not those of the picture, but its shape is the same, intrinsics are scaled to the picture, with
    a warning; where they are those of the picture as its EXIF orientation turns it, the second value is true.
    """
    stored = image_size(image)
    stated = tuple(
        frame.integer(name) if name in frame else size for name, size in zip(("w", "h"), stored, strict=True)
    )
    width, height = stated
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
        distortion=_distortion(frame),
    )
    return fitted_lens(
        frame.source, frame.place("w, h"), checked_lens(frame.source, frame.where, lens), image
    )


def _distortion(frame: JsonObject) -> Distortion:
    """The lens's coefficients. Raises InputError for camera models that are not read."""
    model = frame.text("camera_model").upper() if "camera_model" in frame else "OPENCV"
    known = (*_POLYNOMIAL, *_FISHEYE, "FULL_OPENCV")
    if model not in known:
        raise frame.fail("camera_model", f"{model} is not supported; expected one of {', '.join(known)}")
    kind: DistortionModel = "polynomial"
    if model in _FISHEYE or frame.flag("is_fisheye"):
        kind = "fisheye"
    elif model == "FULL_OPENCV":
        kind = "rational"
    # k3 and k4 of OPENCV are Nerfstudio's, coefficients of r^6 and r^8.
    names = _COEFFICIENTS[:6] if kind == "polynomial" else _COEFFICIENTS
    values: dict[str, Any] = {name: frame.number(name, default=0.0) for name in names}
    return Distortion(model=kind, **values)


def _focal_from_angle(frame: JsonObject, name: str, size: int) -> float:
    if name not in frame:
        raise frame.fail(name, "expected fl_x in pixels or camera_angle_x in radians, got neither")
    angle = frame.number(name)
    if not 0 < angle < math.pi:
        raise frame.fail(name, f"expected an angle between 0 and pi radians, got {angle:g}")
    return 0.5 * size / math.tan(0.5 * angle)


def _image_file(folder: Path, frame: JsonObject, *, follow_links: bool) -> Path:
    name = frame.text("file_path")
    where = frame.place("file_path")
    return existing_picture(folder, frame.source, where, name, suffixes=_ENDINGS, follow_links=follow_links)


def _side_file(folder: Path, frame: JsonObject, field: str, *, follow_links: bool) -> Path | None:
    if field not in frame:
        return None
    where, name = frame.place(field), frame.text(field)
    return existing_file(folder, frame.source, where, name, follow_links=follow_links)


def _depth_file(folder: Path, frame: JsonObject, *, follow_links: bool) -> DepthFile | None:
    file = _side_file(folder, frame, "depth_file_path", follow_links=follow_links)
    if file is None:
        return None
    unit = frame.number("depth_unit_scale_factor", default=_MILLIMETRE)
    if unit <= 0:
        raise frame.fail("depth_unit_scale_factor", f"expected a positive number, got {unit:g}")
    return DepthFile(file=file, unit=unit)
