"""Masks that lie beside the images, in a folder of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Capture, PosedImage, is_file, path_inside

FOLDERS = ("masks", "mask")
"""Where masks lie; the first that there is."""
_KINDS = ("png", "jpg", "jpeg", "webp", "tif", "tiff", "bmp")
_SUFFIXES = tuple(f".{kind}" for name in _KINDS for kind in (name, name.upper()))


def with_folder_masks(capture: Capture, *, follow_links: bool = False) -> Capture:
    """The capture with the masks in its folder masks/, or unchanged where it has none or names masks itself.

    The mask of images/a/b.jpg is masks/a/b.jpg.png, as COLMAP has it, masks/a/b.png or masks/a/b_mask.png, or a picture
    of another kind of that name. Raises InputError, naming the first one, when an image has none and others have.
    """
    if any(view.mask for view in capture.views):
        without = next((view.name for view in capture.views if view.mask is None), None)
        if without is not None:
            raise InputError(
                capture.folder,
                f"has masks, but none for {without}; expected one for every image, or `masks` none, which does "
                "without",
            )
        return capture
    folder = next((capture.folder / name for name in FOLDERS if (capture.folder / name).is_dir()), None)
    if folder is None:
        return capture
    views = [replace(view, mask=_mask_of(folder, view, follow_links=follow_links)) for view in capture.views]
    return replace(capture, views=views)


def without_masks(capture: Capture) -> Capture:
    """The capture with the whole of every image."""
    return replace(capture, views=[replace(view, mask=None) for view in capture.views])


def _mask_of(folder: Path, view: PosedImage, *, follow_links: bool) -> Path:
    parts = PurePosixPath(view.name).parts
    name = PurePosixPath(*(parts[1:] if len(parts) > 1 else parts))
    bare = name.with_suffix("")
    for suffix in _SUFFIXES:
        for stem in (str(name), str(bare), f"{bare}_mask"):
            name_inside = f"{folder.name}/{stem}{suffix}"
            path = path_inside(folder.parent, folder, "mask", name_inside, follow_links=follow_links)
            if is_file(path):
                return path
    raise InputError(
        folder,
        f"has no mask for {view.name}; expected {name}.png or {bare}.png, or `masks` none, which does without",
    )
