"""Masks that lie beside the images, in a folder of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Capture, PosedImage, is_file, path_inside

FOLDER = "masks"


def with_folder_masks(capture: Capture) -> Capture:
    """The capture with the masks in its folder masks/, or unchanged where it has none or names masks itself.

    The mask of images/a/b.jpg is masks/a/b.jpg.png, as COLMAP has it, or masks/a/b.png. Raises InputError
    when an image has none.
    """
    folder = capture.folder / FOLDER
    if not folder.is_dir() or any(view.mask for view in capture.views):
        return capture
    return replace(capture, views=[replace(view, mask=_mask_of(folder, view)) for view in capture.views])


def without_masks(capture: Capture) -> Capture:
    """The capture with the whole of every image."""
    return replace(capture, views=[replace(view, mask=None) for view in capture.views])


def _mask_of(folder: Path, view: PosedImage) -> Path:
    parts = PurePosixPath(view.name).parts
    name = PurePosixPath(*(parts[1:] if len(parts) > 1 else parts))
    for candidate in (f"{name}.png", str(name.with_suffix(".png"))):
        path = path_inside(folder.parent, folder, "mask", f"{FOLDER}/{candidate}")
        if is_file(path):
            return path
    raise InputError(
        folder, f"has no mask for {view.name}; expected {name}.png or {name.with_suffix('.png')}"
    )
