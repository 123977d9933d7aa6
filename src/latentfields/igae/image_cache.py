"""All training images, decoded once into memory-mapped 8-bit arrays.

A cache is a folder named after what is in it (folders, their files' sizes and dates, image size, background), so that
runs share it and changed data make a new one. It is built under another name and renamed when it is complete.

Shape suffixes: N scenes, T views of all of them together, S image side, G cells per side of a grid over a scene's box,
L photographs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from latentfields.autoencoders.image_data import TrainingImages, centre_square, photo_paths, read_photo
from latentfields.cameras import Cameras
from latentfields.config.typed_json import from_json
from latentfields.errors import InputError
from latentfields.files import read_json, replacing, write_json
from latentfields.scenes.load import load_scene, scene_folders
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread
from latentfields.scenes.visual_hull import visual_hull_cells
from latentfields.training.checkpoint import load_tensors, save_tensors

HELD_OUT_VIEWS = 4
"""Test views of every scene that are kept, to watch the training."""
HELD_OUT_PHOTOS = 8
"""Photographs that are never trained on, to watch the training; fewer where there are few."""
_PHOTO_SIDE = 2
"""Photographs are shrunk until their shorter side is this multiple of the training size."""


@dataclass(frozen=True)
class CachedViews:
    """Views of many scenes, composited on the background."""

    names: tuple[str, ...]
    """Name of every scene."""
    pixels: NDArray[np.uint8]
    """(T, 3, S, S) memory-mapped."""
    cameras: Cameras
    """T cameras, each in the normalised frame of its scene."""
    train: tuple[Tensor, ...]
    """For every scene, the indices (int64) of its training views."""
    held_out: tuple[Tensor, ...]
    """For every scene, the indices of a few test views."""
    validation: tuple[Tensor, ...]
    """For every scene, the indices of its validation views, where they are asked for; otherwise of none."""
    near: tuple[float, ...]
    """For every scene, distance along a ray before which there is nothing."""
    far: tuple[float, ...]
    """For every scene, distance along a ray after which there is nothing."""
    hulls: Tensor
    """(N, G^3) bool, x slowest: cells that may hold the object, by the training views' alpha; all without alpha."""

    def __len__(self) -> int:
        return len(self.names)

    def images(self, indices: Tensor) -> Tensor:
        """Views (B, 3, S, S) float32 in [0, 1]."""
        return torch.from_numpy(self.pixels[indices.numpy()]).float() / 255


@dataclass(frozen=True)
class Photos:
    """Real photographs."""

    train: TrainingImages
    """To draw random crops from."""
    held_out: Tensor
    """(L, 3, S, S) float32 in [0, 1], central squares of photographs that are not trained on."""


def cache_scenes(
    roots: Sequence[Path],
    *,
    size: int,
    background: tuple[float, float, float],
    grid_resolution: int,
    cache: Path,
    with_validation: bool = False,
) -> CachedViews:
    """Views of every scene in or directly below `roots`, square, of `size` pixels, and hulls of G^3 cells.

    Those of the validation split are among them only `with_validation`. Raises InputError when there is no scene, or
    one has views that are not square.
    """
    folders = scene_folders(roots)
    options: dict[str, object] = {"size": size, "background": background, "grid": grid_resolution}
    if with_validation:
        options["validation"] = True
    key = _fingerprint("scenes", folders, options)

    def write(out: Path) -> None:
        _write_scenes(
            out,
            folders,
            size=size,
            background=background,
            grid_resolution=grid_resolution,
            with_validation=with_validation,
        )

    return _open_scenes(_cached(cache / key, write))


def cache_photos(roots: Sequence[Path], *, size: int, cache: Path) -> Photos:
    """Photographs below `roots` whose sides are at least `size` pixels.

    Raises InputError when there are fewer than two.
    """
    key = _fingerprint("photos", list(roots), {"size": size})
    return _open_photos(_cached(cache / key, lambda out: _write_photos(out, roots, size)), size)


def square_scene(folder: Path, *, size: int, background: tuple[float, float, float]) -> Scene:
    """The scene with its views resized to `size` pixels. Raises InputError when they are not square."""
    scene = load_scene(folder, background=background, bounds="object")
    height, width = scene.size
    if height != width:
        raise InputError(folder, f"views are {width}x{height}; expected square views")
    return scene.resized(width=size, height=size)


def require_two_photos(found: int, roots: Sequence[Path], *, size: int) -> None:
    """Raise InputError when less than two photographs were found: one to train on, and one to watch the training."""
    if found < 2:
        raise InputError(roots[0], f"expected at least two photographs of {size} pixels or more on a side")


def _fingerprint(kind: str, folders: Sequence[Path], options: dict[str, object]) -> str:
    files = [
        (str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for folder in folders
        for path in sorted(folder.resolve().rglob("*"))
        if path.is_file()
    ]
    content = json.dumps([kind, options, files])
    return f"{kind}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _cached(folder: Path, write: Callable[[Path], None]) -> Path:
    """`folder`, filled by `write` unless it is there already."""
    if not folder.is_dir():
        try:
            with replacing(folder) as temporary:
                temporary.mkdir()
                write(temporary)
        except OSError:
            if not folder.is_dir():  # Otherwise another run that shares the cache was faster.
                raise
    return folder


def _write_scenes(
    out: Path,
    folders: Sequence[Path],
    *,
    size: int,
    background: tuple[float, float, float],
    grid_resolution: int,
    with_validation: bool,
) -> None:
    views: list[Cameras] = []
    hulls: list[Tensor] = []
    about: list[dict[str, object]] = []
    with open(out / "views.u8", "wb") as file:
        for folder in folders:
            scene = square_scene(folder, size=size, background=background)
            split = [scene.indices("train"), evenly_spread(scene.indices("test"), HELD_OUT_VIEWS)]
            if with_validation:
                split.append(scene.indices("val"))
            indices = torch.cat(split)
            for chunk in indices.split(16):
                file.write((scene.images(chunk) * 255).round().to(torch.uint8).numpy().tobytes())
            views.append(scene.cameras[indices])
            hulls.append(_hull(scene, grid_resolution))
            about.append(
                {"name": scene.name, "near": scene.near, "far": scene.far, "views": [*map(len, split)]}
            )
    tensors = {
        name: torch.cat([getattr(cameras, name) for cameras in views])
        for name in ("camera_to_world", "focal", "principal")
    }
    save_tensors(out / "scenes.safetensors", tensors | {"hulls": torch.stack(hulls)}, {})
    write_json(out / "scenes.json", {"size": size, "scenes": about})


def _hull(scene: Scene, resolution: int) -> Tensor:
    everywhere = torch.ones(resolution**3, dtype=torch.bool)
    if scene.alpha is None:
        return everywhere
    views = scene.indices("train")
    cells = visual_hull_cells(scene.cameras, scene.alpha, views=views, resolution=resolution)
    return cells if cells.any() else everywhere


@dataclass(frozen=True)
class _SceneEntry:
    """What scenes.json says of a scene."""

    name: str
    near: float
    far: float
    views: tuple[int, ...]
    """Numbers of training and of held-out views, and of validation views where these are cached, too."""


@dataclass(frozen=True)
class _ScenesEntry:
    """What scenes.json says of all scenes."""

    size: int
    scenes: tuple[_SceneEntry, ...]


@dataclass(frozen=True)
class _PhotosEntry:
    """What photos.json says."""

    shapes: tuple[tuple[int, int], ...]
    """Height and width of every photograph."""


@contextmanager
def _complete(folder: Path) -> Iterator[None]:
    """Let whatever is wrong with a cache be an InputError that says so."""
    try:
        yield
    except (InputError, OSError, KeyError, ValueError, OverflowError) as error:
        problem = error.problem if isinstance(error, InputError) else " ".join(str(error).split())[:200]
        raise InputError(folder, f"is no complete cache of decoded images ({problem}); delete it") from error


def _pixels(file: Path, count: int) -> NDArray[np.uint8]:
    """The `count` bytes of `file`, memory-mapped. Raises ValueError when it has another number of them."""
    pixels = np.memmap(file, dtype=np.uint8, mode="r")
    if len(pixels) != count:
        raise ValueError(f"{file.name} has {len(pixels)} bytes instead of {count}")
    return pixels


def _open_scenes(folder: Path) -> CachedViews:
    source = folder / "scenes.json"
    with _complete(folder):
        about = from_json(_ScenesEntry, read_json(source), source=source)
        tensors, _ = load_tensors(folder / "scenes.safetensors")
        size, scenes = about.size, about.scenes
        # Caches of earlier versions have two parts of every scene, and so have those without validation views.
        counts = [count for scene in scenes for count in (*scene.views, 0)[:3]]
        if len(counts) != 3 * len(scenes):
            raise InputError(source, "expected two or three numbers of views for every scene")
        if size < 1 or min(counts, default=0) < 0:
            raise InputError(source, "expected scenes, with sizes and numbers of views that are not negative")
        shapes = {
            "camera_to_world": (sum(counts), 4, 4),
            "focal": (sum(counts), 2),
            "principal": (sum(counts), 2),
        }
        for name, shape in shapes.items():
            if tuple(tensors[name].shape) != shape or tensors[name].dtype != torch.float32:
                raise InputError(source, f"expected float32 {shape} for '{name}'")
        if (
            tensors["hulls"].ndim != 2
            or len(tensors["hulls"]) != len(scenes)
            or tensors["hulls"].dtype != torch.bool
        ):
            raise InputError(source, "expected a hull of every scene")
        pixels = _pixels(folder / "views.u8", sum(counts) * 3 * size * size)
    parts = torch.arange(sum(counts)).split(counts)
    return CachedViews(
        names=tuple(scene.name for scene in scenes),
        pixels=pixels.reshape(sum(counts), 3, size, size),
        cameras=Cameras(**{name: tensors[name] for name in shapes}, width=size, height=size),
        train=parts[0::3],
        held_out=parts[1::3],
        validation=parts[2::3],
        near=tuple(scene.near for scene in scenes),
        far=tuple(scene.far for scene in scenes),
        hulls=tensors["hulls"],
    )


def _write_photos(out: Path, roots: Sequence[Path], size: int) -> None:
    shapes: list[tuple[int, int]] = []
    with open(out / "photos.u8", "wb") as file:
        for path in photo_paths(tuple(roots)):
            photo = _shrunk(read_photo(path), _PHOTO_SIDE * size)
            if min(photo.shape[:2]) >= size:
                shapes.append((photo.shape[0], photo.shape[1]))
                file.write(photo.tobytes())
    require_two_photos(len(shapes), roots, size=size)
    write_json(out / "photos.json", {"shapes": shapes})


def _shrunk(photo: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The photograph (H, W, 3) with its shorter side at most `side` pixels."""
    height, width = photo.shape[:2]
    scale = side / min(height, width)
    if scale >= 1:
        return photo
    new = (max(side, round(width * scale)), max(side, round(height * scale)))
    return np.asarray(Image.fromarray(photo).resize(new, Image.Resampling.LANCZOS))


def _open_photos(folder: Path, size: int) -> Photos:
    source = folder / "photos.json"
    with _complete(folder):
        shapes = from_json(_PhotosEntry, read_json(source), source=source).shapes
        if len(shapes) < 2 or any(min(shape) < size for shape in shapes):
            raise InputError(source, f"expected at least two photographs of {size} pixels or more on a side")
        flat = _pixels(folder / "photos.u8", sum(height * width * 3 for height, width in shapes))
    ends = np.cumsum([height * width * 3 for height, width in shapes])
    photos = [
        flat[end - height * width * 3 : end].reshape(height, width, 3)
        for (height, width), end in zip(shapes, ends.tolist(), strict=True)
    ]
    count = max(1, min(HELD_OUT_PHOTOS, len(photos) // 8))
    held_out = set(evenly_spread(torch.arange(len(photos)), count).tolist())
    return Photos(
        train=TrainingImages(
            photos=tuple(photo for index, photo in enumerate(photos) if index not in held_out),
            renders=None,
            size=size,
        ),
        held_out=torch.stack([centre_square(photos[index], size=size) for index in sorted(held_out)]),
    )
