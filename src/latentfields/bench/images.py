"""Cells about an autoencoder alone: images through it, and its 3D-awareness score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.evaluate import reconstruction_scores
from latentfields.autoencoders.image_data import centre_square, photo_paths, read_photo, renders_on_white
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.score import generated_scenes, score_autoencoder
from latentfields.bench.scenes import StudyScene
from latentfields.errors import InputError
from latentfields.process import choose_device

VIEWS = 24
"""Views of every generated object."""


def require_autoencoders(names: Iterable[str], *, size: int) -> None:
    """Raise InputError for an autoencoder that cannot be loaded, or cannot take images of `size` pixels."""
    for name in names:
        factor = load_autoencoder(name).factor
        if size % factor:
            raise InputError(
                name, f"has the factor {factor}, of which images of {size} pixels are no multiple"
            )


def matching_photos(folders: tuple[Path, ...], pattern: str) -> list[Path]:
    """Return the photographs whose names fit the pattern. Raises InputError when there are none."""
    paths = [path for path in photo_paths(folders) if fnmatch(path.name, pattern)]
    if folders and not paths:
        raise InputError(folders[0], f"no photograph matches '{pattern}'")
    return paths


def reconstruct_photos(
    autoencoder: str, *, photos: tuple[Path, ...], pattern: str, limit: int, size: int, device: str
) -> dict[str, Any]:
    """Return PSNR, SSIM and MS-GMSD of the first `limit` matching photographs, as central squares of `size` pixels."""
    paths = matching_photos(photos, pattern)[:limit]
    images = torch.stack([centre_square(read_photo(path), size=size) for path in paths])
    return _scores(autoencoder, images, device)


def reconstruct_views(
    autoencoder: str, *, scenes: tuple[Path, ...], objects: int, size: int, device: str
) -> dict[str, Any]:
    """Return the same of views on white: of scenes or, where none are given, so many objects of each family."""
    if scenes:
        images = renders_on_white(scenes, size=size)
    else:
        generated = generated_scenes(objects=objects, views=VIEWS, size=size)
        images = torch.cat([scene.images(torch.arange(len(scene))) for scene in generated])
    return _scores(autoencoder, images, device)


def reconstruct_test_views(autoencoder: str, *, scenes: Sequence[StudyScene], device: str) -> dict[str, Any]:
    """Return the same of the test views of every scene, under "scenes" (LRF Table 4)."""
    factor = load_autoencoder(autoencoder).factor
    records = []
    # Scenes that are fitted with several seeds have the same views each time.
    for scene in {scene.folder: scene for scene in scenes}.values():
        views = scene.load(factor=factor)
        scores = _scores(autoencoder, views.images(views.indices("test")), device)
        records.append({"scene": scene.kind, **scores})
    return {"scenes": records}


def _scores(autoencoder: str, images: Tensor, device: str) -> dict[str, Any]:
    codec = load_autoencoder(autoencoder).to(choose_device(device))
    return {"images": len(images), **reconstruction_scores(codec, images)}


def score(autoencoder: str, *, objects: int, size: int, device: str) -> dict[str, Any]:
    """Return the 3D-awareness score (`autoencoders.awareness`) on so many generated objects per family."""
    return score_autoencoder(autoencoder, objects=objects, views=VIEWS, size=size, device=device).to_json()
