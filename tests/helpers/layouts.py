"""The same views in every layout of scene folders that the package reads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from helpers.scene_files import (
    SphereViews,
    ring_cameras,
    sphere_points,
    sphere_views,
    write_blender,
    write_colmap_binary,
    write_colmap_text,
    write_igae,
    write_nerfstudio,
)

SIZE = 32
VIEWS = 12


def layout_views() -> SphereViews:
    """Square views with square pixels and a centred principal point: what every layout can describe."""
    cameras = ring_cameras(VIEWS, width=SIZE, height=SIZE, focal=40.0)
    return sphere_views(
        replace(
            cameras,
            focal=cameras.focal[:, :1].repeat(1, 2),
            principal=torch.full((VIEWS, 2), SIZE / 2, dtype=torch.float64),
        )
    )


def _blender(folder: Path) -> Path:
    return write_blender(folder, layout_views(), parts={"train": slice(0, 9), "test": slice(9, VIEWS)})


def _colmap_beside_images(folder: Path) -> Path:
    write_colmap_binary(folder, layout_views(), sphere_points())
    (folder / "colmap" / "sparse").mkdir(parents=True)
    shutil.move(folder / "sparse" / "0", folder / "colmap" / "sparse" / "0")
    (folder / "sparse").rmdir()
    return folder


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "blender": _blender,
    "igae": lambda folder: write_igae(folder, layout_views()),
    "nerfstudio": lambda folder: write_nerfstudio(folder, layout_views()),
    "colmap-sparse-0": lambda folder: write_colmap_binary(folder, layout_views(), sphere_points()),
    "colmap-sparse": lambda folder: write_colmap_text(folder, layout_views(), sphere_points()),
    "colmap-colmap-sparse-0": _colmap_beside_images,
}
"""Writers of a scene folder, by the name of the layout."""


def write_layouts(root: Path) -> Path:
    """A folder of scenes, one in each layout, each called after it."""
    for name, write in LAYOUTS.items():
        write(root / name)
    return root
