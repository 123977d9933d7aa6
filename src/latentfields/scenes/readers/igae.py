"""IG-AE folders: transforms_opencv.json, poses in OpenCV axes, intrinsics with every frame."""

from __future__ import annotations

from pathlib import Path

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Capture, by_position, listed_views
from latentfields.scenes.readers.json_fields import read_json
from latentfields.scenes.readers.transforms_json import listed_name, read_frame

FILE = "transforms_opencv.json"


def read_igae(folder: Path, *, follow_links: bool = False) -> Capture:
    """The capture in an IG-AE folder; poses in the file are camera-to-world, x right, y down, z forward.

    The first tenth of the listed frames (at least one) is the test split, the rest the training split, as
    in the paper's experiments. Raises InputError naming the file and field at fault.
    """
    file = folder / FILE
    frames = read_json(file).objects("frames")
    listing = listed_views(
        file,
        frames,
        lambda frame: read_frame(folder, frame, axes="opencv", follow_links=follow_links),
        name=listed_name,
    )
    if len(listing) < 2:
        raise InputError(file, "frames: expected at least 2 to split into train and test, got 1")
    tests = max(1, len(listing) // 10)
    splits = by_position(
        file, [position < tests for position in listing.positions], "the first tenth of the frames"
    )
    return Capture(folder=folder, views=listing.views, splits=splits, missing=listing.missing)
