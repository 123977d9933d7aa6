"""Pictures, masks and depth maps of a capture on one pixel grid: decoded, undistorted, cropped, resized."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentfields.errors import InputError
from latentfields.scenes.depth_files import read_depth
from latentfields.scenes.images import open_picture, quiet_decoding, read_image, read_mask
from latentfields.scenes.readers.capture import PINHOLE, Capture, DepthFile, PosedImage
from latentfields.scenes.readers.undistort import blank_border, undistort
from latentfields.scenes.resampling import resample, resize

MAX_SCENE_BYTES = 64 * 2**30
"""Scenes whose pixels need more memory are refused before anything is allocated."""


@dataclass(frozen=True)
class Grid:
    """How stored pictures become those of a scene: `border` pixels off every side, then resized."""

    border: int
    cropped_width: int
    cropped_height: int
    width: int
    height: int

    @property
    def resizes(self) -> bool:
        """Whether pictures change their size after the crop."""
        return (self.width, self.height) != (self.cropped_width, self.cropped_height)


def plan_grid(capture: Capture, *, max_size: int | None) -> Grid:
    """The grid on which no undistorted picture is blank anywhere, its longer side at most `max_size` pixels.

    Raises InputError when pictures differ in size, and when the scene would need more than MAX_SCENE_BYTES.
    """
    first = capture.views[0]
    stored = (first.lens.width, first.lens.height)
    for view in capture.views:
        size = (view.lens.width, view.lens.height)
        if size != stored:
            raise InputError(
                view.image,
                f"is {size[0]}x{size[1]}, but {first.name} is {stored[0]}x{stored[1]}; "
                "all images of a scene must share one size",
            )
    lenses = {view.lens: view.image for view in capture.views}
    border = max(blank_border(lens, source=source) for lens, source in lenses.items())
    width, height = stored[0] - 2 * border, stored[1] - 2 * border
    scale = 1.0 if max_size is None else min(1.0, max_size / max(width, height))
    grid = Grid(
        border=border,
        cropped_width=width,
        cropped_height=height,
        width=max(1, round(width * scale)),
        height=max(1, round(height * scale)),
    )
    bytes_each = 8 if _depth_files(capture, grid) else 4
    needed = bytes_each * grid.width * grid.height * len(capture.views)
    if needed > MAX_SCENE_BYTES:
        raise InputError(
            capture.folder,
            f"{len(capture.views)} images of {grid.width}x{grid.height} need {needed / 2**30:.0f} GiB; "
            "ask for a smaller max_size",
        )
    return grid


def read_pixels(capture: Capture, grid: Grid) -> tuple[Tensor, Tensor | None]:
    """Colours (N, 3, H, W) and straight alpha (N, 1, H, W), uint8; no alpha when every view is opaque.

    Raises InputError when a picture or a mask cannot be decoded or has another size than its view.
    """
    count = len(capture.views)
    pixels = torch.empty(count, 3, grid.height, grid.width, dtype=torch.uint8)
    alpha = torch.full((count, 1, grid.height, grid.width), 255, dtype=torch.uint8)

    def read(index: int) -> None:
        colors, coverage = _read_view(capture.views[index], grid)
        pixels[index] = colors
        if coverage is not None:
            alpha[index] = coverage

    _in_threads(read, count)
    return pixels, None if int(alpha.min()) == 255 else alpha


def read_depth_maps(capture: Capture, grid: Grid) -> Tensor | None:
    """Depths (N, 1, H, W) float32 in world units, infinite where nothing is seen.

    None when a view has no depth map, and when pictures are resized: averages of depths are no depths. Raises
    InputError when a map cannot be decoded or has another size than its view.
    """
    files = _depth_files(capture, grid)
    if not files:
        return None
    depth = torch.empty(len(files), 1, grid.height, grid.width)

    def read(index: int) -> None:
        depth[index] = _read_depth_map(files[index], capture.views[index], grid)

    _in_threads(read, len(files))
    return depth


def _depth_files(capture: Capture, grid: Grid) -> list[DepthFile]:
    """The depth map of every view, or an empty list."""
    files = [view.depth for view in capture.views if view.depth is not None]
    return files if len(files) == len(capture.views) and not grid.resizes else []


def _read_view(view: PosedImage, grid: Grid) -> tuple[Tensor, Tensor | None]:
    picture = torch.from_numpy(read_image(view.image)).permute(2, 0, 1)[None]
    pixels, alpha = picture[:, :3], picture[:, 3:] if picture.shape[1] == 4 else None
    if view.mask is not None:
        mask = read_mask(view.mask)
        _check_size(view.mask, (mask.shape[1], mask.shape[0]), view)
        alpha = torch.from_numpy(mask)[None, None]
    if view.lens.distortion != PINHOLE:
        pixels, alpha = resample(pixels, alpha, lambda planes: undistort(planes, view.lens))
    pixels, alpha = _cropped(pixels, grid), None if alpha is None else _cropped(alpha, grid)
    if grid.resizes:
        pixels, alpha = resize(pixels, alpha, width=grid.width, height=grid.height)
    return pixels[0], None if alpha is None else alpha[0]


def _read_depth_map(depth: DepthFile, view: PosedImage, grid: Grid) -> Tensor:
    with open_picture(depth.file) as picture:
        _check_size(depth.file, picture.size, view)
        values = torch.from_numpy(read_depth(depth.file, unit=depth.unit))[None, None]
    if view.lens.distortion != PINHOLE:
        values = undistort(values, view.lens, mode="nearest")
    return _cropped(values, grid)[0]


def _check_size(file: Path, size: tuple[int, int], view: PosedImage) -> None:
    if size != (view.lens.width, view.lens.height):
        raise InputError(
            file, f"is {size[0]}x{size[1]}, but {view.name} is {view.lens.width}x{view.lens.height}"
        )


def _cropped(planes: Tensor, grid: Grid) -> Tensor:
    rows = slice(grid.border, grid.border + grid.cropped_height)
    columns = slice(grid.border, grid.border + grid.cropped_width)
    return planes[..., rows, columns]


def _in_threads(read: Callable[[int], None], count: int) -> None:
    """Call `read` for every index: decoders release the interpreter lock.

    Few threads, because each holds a picture of full size.
    """
    with quiet_decoding(), ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for _ in pool.map(read, range(count)):
            pass
