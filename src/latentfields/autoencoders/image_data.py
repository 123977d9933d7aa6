"""Training images for autoencoders: real photographs, and renders on plain backgrounds.

Everything is decoded once into memory as 8-bit arrays; a batch is cropped, resized, flipped and composited on the
fly from an explicit random generator, so that a resumed run sees the same batches as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.images import open_picture, pixel_array, quiet_decoding
from latentfields.scenes.load import load_scene, scene_folders
from latentfields.scenes.plain_pictures import PHOTO_SUFFIXES
from latentfields.scenes.resampling import composited

WHITE_BACKGROUND_SHARE = 0.6
"""Share of renders composited on white; the others get one random colour each."""


def photo_paths(folders: tuple[Path, ...]) -> list[Path]:
    """All photographs below the folders, sorted. Raises InputError when a folder has none."""
    paths: list[Path] = []
    for folder in folders:
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES)
        if not found:
            raise InputError(folder, f"no photographs here; looked for {', '.join(sorted(PHOTO_SUFFIXES))}")
        paths += found
    return paths


def matching_photos(folders: tuple[Path, ...], pattern: str = "*", limit: int | None = None) -> list[Path]:
    """The first `limit` photographs, or all, whose names fit the pattern. Raises InputError when there are none."""
    paths = [path for path in photo_paths(folders) if fnmatch(path.name, pattern)]
    if folders and not paths:
        raise InputError(folders[0], f"no photograph matches '{pattern}'")
    return paths[:limit]


def read_photo(path: Path) -> np.ndarray:
    """A photograph as (H, W, 3) uint8. Raises InputError when it cannot be decoded."""
    with quiet_decoding(), open_picture(path) as image:
        return pixel_array(image if image.mode == "RGB" else image.convert("RGB"))


def centre_square(photo: np.ndarray, *, size: int) -> Tensor:
    """The central square of a photograph, downscaled to (3, size, size) in [0, 1]: the evaluation protocol."""
    height, width = photo.shape[:2]
    side = min(height, width)
    return _square(photo, top=(height - side) // 2, left=(width - side) // 2, side=side, size=size)


def central_squares(paths: Sequence[Path], *, size: int) -> Tensor:
    """`centre_square` of every photograph: (N, 3, size, size)."""
    return torch.stack([centre_square(read_photo(path), size=size) for path in paths])


def _square(photo: np.ndarray, *, top: int, left: int, side: int, size: int) -> Tensor:
    window = photo[top : top + side, left : left + side]
    if side != size:
        window = np.asarray(
            Image.fromarray(window).resize(
                (size, size), Image.Resampling.BOX if side % size == 0 else Image.Resampling.BICUBIC
            )
        )
    return torch.from_numpy(window.copy()).permute(2, 0, 1).float() / 255


@dataclass(frozen=True)
class TrainingImages:
    """Photographs and renders to draw batches from."""

    photos: tuple[np.ndarray, ...]
    """(H, W, 3) uint8 arrays of any sizes, sides at least the training size."""
    renders: Tensor | None
    """(N, 4, S, S) uint8, straight alpha, or None."""
    size: int
    """Side of the training images in pixels."""

    def batch(self, *, photos: int, renders: int, generator: torch.Generator) -> Tensor:
        """(photos + renders, 3, size, size) float32 in [0, 1], photographs first."""
        images = [self._photo(generator) for _ in range(photos)]
        if self.renders is not None:
            images += [self._render(self.renders, generator) for _ in range(renders)]
        return torch.stack(images)

    def central_square(self, generator: torch.Generator) -> Tensor:
        """The central square of a random photograph, downscaled to (3, size, size) in [0, 1]: not augmented."""
        return centre_square(self.photos[random_integer(len(self.photos), generator)], size=self.size)

    def _photo(self, generator: torch.Generator) -> Tensor:
        photo = self.photos[random_integer(len(self.photos), generator)]
        height, width = photo.shape[:2]
        side = self.size + random_integer(min(height, width) - self.size + 1, generator)
        top, left = random_integer(height - side + 1, generator), random_integer(width - side + 1, generator)
        return _flip(_square(photo, top=top, left=left, side=side, size=self.size), generator)

    def _render(self, renders: Tensor, generator: torch.Generator) -> Tensor:
        rgba = renders[random_integer(len(renders), generator)].float() / 255
        white, colour = torch.rand(1, generator=generator), torch.rand(3, generator=generator)
        background = torch.ones(3) if white < WHITE_BACKGROUND_SHARE else colour
        return _flip(composited(rgba[:3], rgba[3:], background), generator)


def random_integer(high: int, generator: torch.Generator) -> int:
    """An integer from 0 to `high` - 1, all equally likely."""
    return int(torch.randint(high, (1,), generator=generator))


def _flip(image: Tensor, generator: torch.Generator) -> Tensor:
    return image.flip(-1) if random_integer(2, generator) else image


def load_training_images(
    photo_folders: tuple[Path, ...], scene_folders: tuple[Path, ...], *, size: int
) -> TrainingImages:
    """Read photographs and every view of the scenes below `scene_folders`.

    Photographs smaller than `size` are left out; scenes must have square views, which are resized to `size`.
    Raises InputError when nothing usable is found.
    """
    photos = tuple(p for p in map(read_photo, photo_paths(photo_folders)) if min(p.shape[:2]) >= size)
    if photo_folders and not photos:
        raise InputError(photo_folders[0], f"no photograph is at least {size} pixels wide and high")
    renders = load_renders(scene_folders, size=size) if scene_folders else None
    if not photos and renders is None:
        raise ArgumentError("photos", "is empty, and so is `scenes`; name at least one folder to train on")
    return TrainingImages(photos=photos, renders=renders, size=size)


def renders_on_white(roots: tuple[Path, ...], *, size: int, limit: int | None = None) -> Tensor:
    """The first `limit` views, or all, of `load_renders` on white: (N, 3, size, size) float32 in [0, 1]."""
    rgba = load_renders(roots, size=size)[:limit].float() / 255
    return composited(rgba[:, :3], rgba[:, 3:], (1.0, 1.0, 1.0))


def load_renders(roots: tuple[Path, ...], *, size: int) -> Tensor:
    """All views of all scenes below `roots`, resized: (N, 4, size, size) uint8, straight alpha.

    Raises InputError for scenes whose views are not square.
    """
    views = []
    for folder in scene_folders(roots):
        scene = load_scene(folder)
        if scene.size[0] != scene.size[1]:
            raise InputError(folder, f"views are {scene.size[1]}x{scene.size[0]}; expected square views")
        scene = scene.resized(width=size, height=size)
        alpha = scene.alpha if scene.alpha is not None else torch.full_like(scene.pixels[:, :1], 255)
        views.append(torch.cat([scene.pixels, alpha], dim=1))
    return torch.cat(views)
