"""Photographs as they lie in a folder, and as a scene holds them: upright, and known by the camera that took them."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from latentfields.errors import InputError
from latentfields.scenes.images import (
    image_orientation,
    image_size,
    open_picture,
    quiet_decoding,
    read_mask,
)
from latentfields.scenes.plain_pictures import picture_folder, pictures_in, unread_in
from latentfields.scenes.readers.masks import FOLDERS
from latentfields.structure_from_motion.config import CameraSharing
from latentfields.structure_from_motion.sharpness import MEASURED_SIDE, sharpness

FEWEST = 3
_QUALITY = 97
_DEVICE = (ExifTags.Base.Make, ExifTags.Base.Model)
_ZOOM = (
    ExifTags.Base.LensModel,
    ExifTags.Base.FocalLength,
    ExifTags.Base.FocalLengthIn35mmFilm,
    ExifTags.Base.DigitalZoomRatio,
)


@dataclass(frozen=True)
class Photograph:
    """One upright picture of a scene's folder of images."""

    name: str
    width: int
    height: int
    device: str
    """What EXIF says took it, such as "NIKON D90, 35 mm"; empty where it says nothing."""
    camera: int
    """Number of the camera that it shares with the photographs of one device, zoom and size."""
    sharpness: float
    """See `sharpness`; comparable between photographs of one scene."""


def find_photographs(folder: Path) -> list[Path]:
    """Return the photographs in a folder, or in images/ in it, by name. Warns of files of kinds that are not read.

    Raises InputError when there are fewer than three.
    """
    place = picture_folder(folder) or folder
    names = pictures_in(place)
    left_out = unread_in(place)
    if len(names) < FEWEST:
        reason = f"; {left_out}: convert them to JPEG" if left_out else ""
        raise InputError(
            folder, f"has {len(names)} photographs; poses need at least {FEWEST}, better 30{reason}"
        )
    if left_out:
        warnings.warn(f"{folder}: {left_out} and are left out", stacklevel=2)
    return [place / name for name in names]


def find_masks(folder: Path, photographs: Sequence[Path]) -> list[Path]:
    """Return the masks in masks/ of a folder, one for each of its photographs; none where it has no such folder.

    The mask of a.jpg is a.jpg.png or a.png. Raises InputError when a photograph has none and others have.
    """
    place = folder / FOLDERS[0]
    if not place.is_dir():
        return []
    masks = []
    for photograph in photographs:
        candidates = (place / f"{photograph.name}.png", place / f"{photograph.stem}.png")
        found = next(filter(Path.is_file, candidates), None)
        if found is None:
            raise InputError(
                place,
                f"has no mask for {photograph.name}; expected {candidates[0].name} or {candidates[1].name}",
            )
        masks.append(found)
    return masks


def write_upright_masks(sources: Sequence[Path], masks: Sequence[Path], folder: Path) -> None:
    """Write the mask of every photograph, not zero where it is kept, turned as the photograph, as NAME.png.

    Raises InputError for a mask that cannot be read, and for one of another size than its photograph.
    """
    with quiet_decoding():
        for source, mask in zip(sources, masks, strict=True):
            width, height = image_size(source)
            coverage = Image.fromarray(read_mask(mask))
            if coverage.size != (width, height):
                raise InputError(
                    mask,
                    f"expected the size of {source.name}, {width}x{height}, got {coverage.width}x{coverage.height}",
                )
            coverage.getexif()[ExifTags.Base.Orientation] = image_orientation(source)
            ImageOps.exif_transpose(coverage).save(folder / f"{source.name}.png")


def write_upright(
    sources: Sequence[Path],
    folder: Path,
    *,
    sharing: CameraSharing,
    threads: int,
    on_photograph: Callable[[], object] = lambda: None,
) -> list[Photograph]:
    """Copy photographs into `folder`, those that EXIF turns turned, and return what is known of them, in order.

    The others are the same bytes. Raises InputError for one that cannot be read.
    """

    def written(source: Path) -> tuple[tuple[Any, ...], dict[str, Any]]:
        found = _written(source, folder / source.name)
        on_photograph()
        return found

    with quiet_decoding(), ThreadPoolExecutor(threads) as pool:
        about = list(pool.map(written, sources))
    cameras: dict[Any, int] = {}
    photographs = []
    for source, (key, values) in zip(sources, about, strict=True):
        shared = key if sharing == "device" else source
        photographs.append(Photograph(**values, camera=cameras.setdefault(shared, len(cameras))))
    return photographs


def _written(source: Path, target: Path) -> tuple[tuple[Any, ...], dict[str, Any]]:
    with open_picture(source) as image:
        exif = image.getexif()
        details = exif.get_ifd(ExifTags.IFD.Exif)
        device = tuple(str(exif.get(tag, "")).strip("\0 ") for tag in _DEVICE)
        zoom = tuple(str(details.get(tag, "")).strip("\0 ") for tag in _ZOOM)
        if exif.get(ExifTags.Base.Orientation, 1) == 1:
            upright = image
            shutil.copyfile(source, target)
        else:
            upright = ImageOps.exif_transpose(image)
            options = {"quality": _QUALITY, "subsampling": 0} if image.format == "JPEG" else {}
            upright.save(target, format=image.format, exif=upright.getexif(), **options)
        grey = upright.convert("L")
        width, height = grey.size
        grey.thumbnail((MEASURED_SIDE, MEASURED_SIDE), Image.Resampling.BOX)
    said = " ".join(dict.fromkeys(" ".join(device).split()))
    said += (
        f", {float(details[ExifTags.Base.FocalLength]):g} mm"
        if details.get(ExifTags.Base.FocalLength)
        else ""
    )
    values = {
        "name": target.name,
        "width": width,
        "height": height,
        "device": said.strip(", "),
        "sharpness": sharpness(np.asarray(grey)),
    }
    return (*device, *zoom, width, height), values
