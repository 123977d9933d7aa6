"""Configuration of finding poses. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from latentfields.config.checks import Checked, NonNegative, Range

LensModel = Literal["pinhole", "simple-radial", "radial", "opencv", "opencv-fisheye"]
"""COLMAP's models of a lens with one focal length and none, one or two radial coefficients; and OpenCV's with two
focal lengths, two radial and two tangential coefficients, and its fisheye."""

CameraSharing = Literal["device", "each"]
"""Photographs of one device, zoom and size share a camera; or each has its own."""


MaskUse = Literal["use", "none"]
"""Masks beside the photographs say where features are, or they are passed over."""


@dataclass(frozen=True)
class CaptureConfig(Checked):
    """Settings for finding the poses of photographs or of a film's frames."""

    frames: Annotated[int, Range(low=3)] = 100
    """Films: so many frames are taken, evenly spaced, of their neighbours the sharpest."""
    cameras: CameraSharing = "device"
    """Photographs of one device, zoom and size share a camera (device), or every one has its own (each)."""
    masks: MaskUse = "use"
    """Masks in masks/ say what stands still, such as an object on a turntable: poses are found from it alone (use). Or
    they are not read (none)."""
    lens: LensModel = "simple-radial"
    """Model of the lenses; readers remove the distortion."""
    exhaustive_up_to: NonNegative = 60
    """Sets of at most so many photographs are matched all with all; larger ones, and films, in sequence."""
    overlap: int = 10
    """In sequence: each photograph is matched with so many that follow, and with those 2, 4, 8, ... on, as many."""
    loops: NonNegative = 10
    """In sequence: so many photographs that look most like it are matched with a photograph, to close loops."""
    feature_size: Annotated[int, Range(low=200)] = 1600
    """Features are found in pictures whose longer side has at most so many pixels; the scene keeps their size."""
    features: Annotated[int, Range(low=100)] = 4096
    """Most features of a photograph; those with two orientations count once."""
