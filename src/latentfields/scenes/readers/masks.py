"""Masks that lie beside the images, in a folder of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Capture, PosedImage, is_file, path_inside

FOLDER = "masks"


def with_folder_masks(capture: Capture, *, follow_links: bool = False) -> Capture:
    """The capture with the masks in its folder masks/, or unchanged where it has none or names masks itself.

    The mask of images/a/b.jpg is masks/a/b.jpg.png, as COLMAP has it, or masks/a/b.png. Raises InputError, naming the
    first one, when an image has none and others have.
    """
    folder = capture.folder / FOLDER
    if any(view.mask for view in capture.views):
        without = next((view.name for view in capture.views if view.mask is None), None)
        if without is not None:
            raise InputError(
                capture.folder, f"has masks, but none for {without}; expected one for every image"
            )
        return capture
    if not folder.is_dir():
        return capture
    views = [replace(view, mask=_mask_of(folder, view, follow_links=follow_links)) for view in capture.views]
    return replace(capture, views=views)


def without_masks(capture: Capture) -> Capture:
    """The capture with the whole of every image."""
    return replace(capture, views=[replace(view, mask=None) for view in capture.views])


def _mask_of(folder: Path, view: PosedImage, *, follow_links: bool) -> Path:
    parts = PurePosixPath(view.name).parts
    name = PurePosixPath(*(parts[1:] if len(parts) > 1 else parts))
    for candidate in (f"{name}.png", str(name.with_suffix(".png"))):
        name_inside = f"{FOLDER}/{candidate}"
        path = path_inside(folder.parent, folder, "mask", name_inside, follow_links=follow_links)
        if is_file(path):
            return path
    raise InputError(
        folder, f"has no mask for {view.name}; expected {name}.png or {name.with_suffix('.png')}"
    )
