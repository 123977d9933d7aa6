"""Cells about an autoencoder alone: images through it, and its 3D-awareness score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.evaluate import reconstruction_scores
from latentfields.autoencoders.image_data import central_squares, matching_photos
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.score import generated_scenes, score_autoencoder
from latentfields.bench.scenes import StudyScene
from latentfields.errors import InputError
from latentfields.process import choose_device
from latentfields.scenes.scene import Scene

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


def photographs(folders: tuple[Path, ...], *, pattern: str, limit: int, size: int) -> Tensor:
    """Return the first `limit` matching photographs, as central squares: (N, 3, size, size)."""
    return central_squares(matching_photos(folders, pattern, limit), size=size)


def object_views(*, objects: int, size: int) -> Tensor:
    """Return views of so many generated objects of each family on white: (N, 3, size, size)."""
    scenes = _objects(objects, size)
    return torch.cat([scene.images(torch.arange(len(scene))) for scene in scenes])


def reconstruct(autoencoder: str, read: Callable[[], Tensor], *, device: str) -> dict[str, Any]:
    """Return the number of the images (N, 3, H, W) that `read` returns, and how well they are reconstructed."""
    images, codec = read(), load_autoencoder(autoencoder).to(choose_device(device))
    return {"images": len(images), **reconstruction_scores(codec, images)}


def reconstruct_test_views(autoencoder: str, *, scenes: Sequence[StudyScene], device: str) -> dict[str, Any]:
    """Return the same of the test views of every scene, under "scenes" (LRF Table 4)."""
    factor = load_autoencoder(autoencoder).factor
    records = []
    # Scenes that are fitted with several seeds have the same views each time.
    for scene in {scene.folder: scene for scene in scenes}.values():
        views = scene.load(factor=factor)
        read = partial(views.images, views.indices("test"))
        records.append({"scene": scene.kind, **reconstruct(autoencoder, read, device=device)})
    return {"scenes": records}


def score(autoencoder: str, *, objects: int, size: int, device: str) -> dict[str, Any]:
    """Return the 3D-awareness score (`autoencoders.awareness`) on so many generated objects per family."""
    return score_autoencoder(autoencoder, scenes=_objects(objects, size), device=device).to_json()


@lru_cache(maxsize=1)
def _objects(objects: int, size: int) -> tuple[Scene, ...]:
    """So many generated objects of each family; autoencoders that are scored one after the other share them."""
    return generated_scenes(objects=objects, views=VIEWS, size=size)
