"""Writing the NeRF-synthetic layout: transforms_<split>.json, folders of RGBA pictures and depth maps."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.files import remove, temporary_folder
from latentfields.scenes.depth_files import depth_unit, write_depth
from latentfields.scenes.objects.rendering import RenderedView

_SPLITS = ("train", "val", "test")
_SCENE_FILES = {*_SPLITS, *(f"transforms_{split}.json" for split in _SPLITS)}


def write_blender_scene(
    folder: Path,
    views: Iterable[RenderedView],
    cameras: Cameras,
    *,
    split_sizes: Mapping[str, int],
    farthest: float,
    overwrite: bool = False,
) -> None:
    """Write rendered views and their cameras as a scene folder; the first views go to the first split.

    Pictures are RGBA PNG with straight alpha. Depth maps are 16-bit PNG files, "depth_file_path" of their
    frame, in steps of "depth_unit_scale_factor" scene units, for depths up to `farthest`. Splits without
    views get no file. The folder appears complete or not at all. Raises InputError when it exists and may not
    be overwritten, see `require_absent`.
    """
    unit = depth_unit(farthest)
    slots = [(split, index) for split, size in split_sizes.items() for index in range(size)]
    frames: dict[str, list[object]] = {split: [] for split, _ in slots}
    with _complete_or_absent(folder, overwrite=overwrite) as partial:
        for split in frames:
            (partial / split).mkdir()
        for (split, index), view, pose in zip(slots, views, cameras.camera_to_world.tolist(), strict=True):
            name = f"./{split}/r_{index}"
            Image.fromarray(view.rgba).save(partial / f"{name}.png")
            write_depth(partial / f"{name}_depth.png", view.depth, unit=unit)
            files = {"file_path": name, "depth_file_path": f"{name}_depth.png"}
            frames[split].append({**files, "transform_matrix": pose})
        header = {
            "camera_angle_x": 2 * math.atan(cameras.width / 2 / float(cameras.focal[0, 0])),
            "w": cameras.width,
            "h": cameras.height,
            "depth_unit_scale_factor": unit,
        }
        for split, entries in frames.items():
            text = json.dumps({**header, "frames": entries}, indent=1)
            (partial / f"transforms_{split}.json").write_text(text, encoding="utf-8")


def require_absent(folder: Path, *, overwrite: bool) -> None:
    """Raise InputError when `folder` exists and is neither empty nor a scene that may be overwritten."""
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, "expected a folder, found a file")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names - _SCENE_FILES:
        found = min(names - _SCENE_FILES)
        raise InputError(
            folder, f"holds '{found}', which is no part of a rendered scene; choose another folder"
        )
    if names and not overwrite:
        raise InputError(folder, "exists already; choose another folder, or replace it by `overwrite`")


@contextmanager
def _complete_or_absent(folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """A new folder beside `folder` that takes its name when the block ends well, and vanishes otherwise."""
    folder = folder.resolve()
    require_absent(folder, overwrite=overwrite)
    partial = temporary_folder(folder)
    remove(partial)
    try:
        scene = partial / "new"
        scene.mkdir(parents=True)
        yield scene
        if folder.exists():
            os.replace(folder, partial / "old")
        os.replace(scene, folder)
    finally:
        remove(partial)
