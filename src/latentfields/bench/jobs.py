"""Cells about an autoencoder alone: images through it, and its 3D-awareness score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch

from latentfields.autoencoders.evaluate import reconstruction_scores
from latentfields.autoencoders.image_data import centre_square, photo_paths, read_photo, renders_on_white
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.score import generated_scenes, score_autoencoder
from latentfields.errors import InputError

VIEWS = 24
"""Views of every generated object."""


@dataclass(frozen=True)
class PhotosJob:
    """Which photographs go through which autoencoder."""

    autoencoder: str
    """Name or folder."""
    photos: tuple[Path, ...]
    """Folders of photographs."""
    pattern: str
    """Names of those that count."""
    limit: int
    """At most so many, the first by name."""
    size: int
    """Side of the central square, in pixels."""


def require_autoencoders(names: Iterable[str], *, size: int) -> None:
    """Raise InputError for an autoencoder that cannot be loaded, or cannot take images of `size` pixels."""
    for name in names:
        factor = load_autoencoder(name).factor
        if size % factor:
            raise InputError(
                name, f"has the factor {factor}, of which images of {size} pixels are no multiple"
            )


def matching_photos(folders: tuple[Path, ...], pattern: str) -> list[Path]:
    """Photographs whose names fit the pattern. Raises InputError when there are none."""
    paths = [path for path in photo_paths(folders) if fnmatch(path.name, pattern)]
    if folders and not paths:
        raise InputError(folders[0], f"no photograph matches '{pattern}'")
    return paths


def reconstruct(job: PhotosJob) -> dict[str, Any]:
    """PSNR, SSIM and MS-GMSD of autoencoded photographs. Raises InputError when no name fits the pattern."""
    paths = matching_photos(job.photos, job.pattern)[: job.limit]
    images = torch.stack([centre_square(read_photo(path), size=job.size) for path in paths])
    return {"images": len(paths), **reconstruction_scores(load_autoencoder(job.autoencoder), images)}


@dataclass(frozen=True)
class ViewsJob:
    """Which views of objects go through which autoencoder."""

    autoencoder: str
    """Name or folder."""
    scenes: tuple[Path, ...]
    """Scenes, or folders of them; none generates objects."""
    objects: int
    """Generated objects per evaluation family."""
    size: int
    """Side of the views, in pixels."""


def reconstruct_views(job: ViewsJob) -> dict[str, Any]:
    """The same measures of autoencoded views of objects on white."""
    if job.scenes:
        images = renders_on_white(job.scenes, size=job.size)
    else:
        scenes = generated_scenes(objects=job.objects, views=VIEWS, size=job.size)
        images = torch.cat([scene.images(torch.arange(len(scene))) for scene in scenes])
    return {"images": len(images), **reconstruction_scores(load_autoencoder(job.autoencoder), images)}


@dataclass(frozen=True)
class ScoreJob:
    """What `latentfields autoencoder score` is asked."""

    autoencoder: str
    """Name or folder."""
    objects: int
    """Generated objects per family."""
    size: int
    """Side of their views, in pixels."""


def score(job: ScoreJob) -> dict[str, Any]:
    """The 3D-awareness score (`autoencoders.awareness`)."""
    result = score_autoencoder(job.autoencoder, scenes=(), objects=job.objects, views=VIEWS, size=job.size)
    return result.to_json()
