"""NeRF-synthetic folders: transforms_train.json, transforms_val.json, transforms_test.json, RGBA pictures."""

from __future__ import annotations

from pathlib import Path

from latentfields.scenes.readers.capture import Capture, PosedImage, every_eighth, listed_views
from latentfields.scenes.readers.json_fields import read_json
from latentfields.scenes.readers.transforms_json import listed_name, read_frame

TRAIN_FILE = "transforms_train.json"


def read_blender(folder: Path, *, follow_links: bool = False) -> Capture:
    """The capture in a NeRF-synthetic folder; poses in the files are camera-to-world in OpenGL axes.

    Without a test file the validation views are the test views; without both, every eighth view of the
    training file is one. Raises InputError naming the file and field at fault.
    """
    views: list[PosedImage] = []
    positions: list[int] = []
    missing: list[str] = []
    splits: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for split, indices in splits.items():
        file = folder / f"transforms_{split}.json"
        if split != "train" and not file.is_file():
            continue
        frames = read_json(file).objects("frames")
        listing = listed_views(
            file,
            frames,
            lambda frame: read_frame(folder, frame, axes="opengl", follow_links=follow_links),
            name=listed_name,
        )
        indices.extend(range(len(views), len(views) + len(listing.views)))
        views += listing.views
        positions += listing.positions
        missing += listing.missing
    if not splits["test"]:
        splits["test"] = splits["val"]
    if not splits["test"]:
        splits = every_eighth(folder / TRAIN_FILE, len(views), positions=positions)
    return Capture(folder=folder, views=views, splits=splits, missing=missing)
