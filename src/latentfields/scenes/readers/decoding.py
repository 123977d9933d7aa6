"""Pictures, masks and depth maps of a capture on one pixel lattice: decoded, undistorted, cropped, resized."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentfields.errors import InputError
from latentfields.progress import progress_bar
from latentfields.scenes.depth_files import read_depth
from latentfields.scenes.images import has_alpha_channel, open_picture, quiet_decoding, read_image, read_mask
from latentfields.scenes.readers.capture import PINHOLE, Capture, DepthFile, Lens, PosedImage
from latentfields.scenes.readers.undistort import (
    blank_border,
    distorted_pixels,
    distorted_positions,
    sampled,
    undistort,
)
from latentfields.scenes.resampling import area_averaged, resample, resize

MAX_SCENE_BYTES = 64 * 2**30
"""Scenes whose pixels need more memory are refused before anything is allocated."""
_SAMPLES = 2
"""Pictures that are shrunk while they are decoded keep at least so many pixels along each side of a scene's pixel."""
_KEPT = 128
"""Pixels are ignored when a mask keeps less of them than this, of 255."""
_DECODING_BYTES = 2**30
"""Memory for what is decoded at the same time; a single picture may take more."""
_BYTES_A_PIXEL, _BYTES_A_REDUCED_PIXEL = 40, 10
"""About what a stored pixel takes while it is undistorted and resized as it is, or averaged while decoding."""
_SILENT_SECONDS = 2.0
_ALIKE = 1.1
"""Pictures at most so many times as wide and high as the smallest are cropped; larger ones are shrunk before."""


@dataclass(frozen=True)
class Window:
    """The part of a stored, undistorted picture that the scene shows, in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class PixelPlan:
    """The way from stored pictures to those of a scene, all of one size: a window of each, resized."""

    windows: tuple[Window, ...]
    """One for every view."""
    width: int
    """Of the scene's pictures, in pixels."""
    height: int

    def resizes(self, index: int) -> bool:
        """True when the picture of view `index` changes its size after the crop."""
        window = self.windows[index]
        return (self.width, self.height) != (window.width, window.height)

    def reduction(self, index: int) -> int:
        """Stored pixels along a side that may be averaged while the picture of view `index` is decoded.

        A power of two, which JPEG decoders have short cuts for; 1 where the scene needs the stored pixels.
        """
        window = self.windows[index]
        room = min(window.width // (_SAMPLES * self.width), window.height // (_SAMPLES * self.height))
        return 1 << max(room.bit_length() - 1, 0)


def plan_pixels(capture: Capture, *, max_size: int | None) -> PixelPlan:
    """Windows in which no undistorted picture is blank anywhere, on one lattice of at most `max_size` pixels a side.

    Pictures of different sizes share what the smallest show: those that are much larger are shrunk, then all are
    cropped around their centres, and a warning says how much is lost. Raises InputError when the scene would need
    more than MAX_SCENE_BYTES.
    """
    borders = {
        lens: blank_border(lens, source=source)
        for lens, source in {view.lens: view.image for view in capture.views}.items()
    }
    if len({(view.lens.width, view.lens.height) for view in capture.views}) == 1:
        # Lenses of one size share the widest border, so that all views show the same window.
        borders = dict.fromkeys(borders, max(borders.values()))
    usable = [_inner(view.lens, borders[view.lens]) for view in capture.views]
    width, height = min(window.width for window in usable), min(window.height for window in usable)
    windows = tuple(_shared(window, width, height) for window in usable)
    scale = 1.0 if max_size is None else min(1.0, max_size / max(width, height))
    plan = PixelPlan(windows, width=max(1, round(width * scale)), height=max(1, round(height * scale)))
    _warn_of_losses(capture, usable, plan, shrunk=scale == 1)
    bytes_each = 8 if _depth_files(capture, plan) else 4
    needed = bytes_each * plan.width * plan.height * len(capture.views)
    if needed > MAX_SCENE_BYTES:
        raise InputError(
            capture.folder,
            f"{len(capture.views)} images of {plan.width}x{plan.height} need {needed / 2**30:.0f} GiB; "
            "ask for a smaller max_size",
        )
    return plan


def _inner(lens: Lens, border: int) -> Window:
    return Window(border, border, lens.width - 2 * border, lens.height - 2 * border)


def _shared(window: Window, width: int, height: int) -> Window:
    """The middle of a window that `width` x `height` pixels show, shrunk where the window is much larger."""
    shrink = min(window.width / width, window.height / height)
    shrink = shrink if shrink > _ALIKE else 1.0
    wide, high = min(window.width, round(shrink * width)), min(window.height, round(shrink * height))
    return Window(
        window.left + (window.width - wide) // 2, window.top + (window.height - high) // 2, wide, high
    )


def _warn_of_losses(capture: Capture, before: Sequence[Window], plan: PixelPlan, *, shrunk: bool) -> None:
    """Say what is lost to pictures of other sizes; `shrunk` when pixels are lost to nothing else."""
    sizes = len({(view.lens.width, view.lens.height) for view in capture.views})
    cut = [
        1 - new.width * new.height / (old.width * old.height)
        for old, new in zip(before, plan.windows, strict=True)
    ]
    about = f"{capture.folder}: its pictures have {sizes} sizes; all are brought to one, {plan.width}x{plan.height}"
    if max(cut) > 0:
        worst = capture.views[cut.index(max(cut))].name
        warnings.warn(f"{about}, which cuts up to {max(cut):.1%} off ({worst})", stacklevel=2)
    elif shrunk and max(window.width for window in plan.windows) > plan.width:
        least = min(capture.views, key=lambda view: view.lens.width)
        warnings.warn(f"{about}, that of the smallest ({least.name})", stacklevel=2)


@dataclass(frozen=True)
class Decoded:
    """The pictures of a scene's views."""

    pixels: Tensor
    """(N, 3, H, W) uint8 colours, not premultiplied by alpha."""
    alpha: Tensor | None
    """(N, 1, H, W) uint8; None when every view is opaque."""
    ignored: Tensor | None
    """(N, 1, H, W) bool, true where masks leave pixels out that are of no account: alpha is full there, colours are
    the mean of the rest. None when that is nowhere."""


def read_pixels(capture: Capture, plan: PixelPlan, *, ignore: bool = False) -> Decoded:
    """The pictures of a capture, as `decode_views` reads them."""
    pixels = torch.empty(len(capture.views), 3, plan.height, plan.width, dtype=torch.uint8)

    def keep(index: int, colors: Tensor) -> None:
        pixels[index] = colors

    alpha, ignored = decode_views(capture, plan, keep, ignore=ignore)
    return Decoded(pixels, alpha, ignored)


def decode_views(
    capture: Capture, plan: PixelPlan, keep: Callable[[int, Tensor], None], *, ignore: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Read the pictures of a capture: `keep` gets index and colours (3, H, W) uint8 of each, in any order, in threads.

    Returns alpha and what is ignored, as in `Decoded`. Masks take the place of the alpha channel; with `ignore` what
    they leave out is of no account instead. Raises InputError when a picture or a mask cannot be decoded or has another
    size than its view, and when a mask leaves out the whole of it.
    """
    # Of most captures every view is opaque, and complete: planes that say so are not kept.
    alphas: dict[int, Tensor] = {}
    without_alpha: set[int] = set()
    left_out: dict[int, Tensor] = {}

    def read(index: int) -> None:
        colors, alpha, kept = _read_view(capture.views[index], plan, index, ignore=ignore)
        without = None if kept is None else kept < _KEPT
        if without is not None and without.any():
            if without.all():
                raise InputError(capture.views[index].mask or capture.folder, "leaves out the whole picture")
            mean = colors[:, ~without[0]].float().mean(dim=1).round().to(torch.uint8)
            colors = torch.where(without, mean[:, None, None], colors)
            alpha = None if alpha is None else alpha.masked_fill(without, 255)
            left_out[index] = without
        if alpha is None and kept is None:
            without_alpha.add(index)
        if alpha is not None and int(alpha.min()) < 255:
            alphas[index] = alpha
        keep(index, colors)

    _in_threads(read, [_decoding_bytes(view, plan, index) for index, view in enumerate(capture.views)])
    count = len(capture.views)
    if alphas and without_alpha:
        first = capture.views[min(without_alpha)].name
        warnings.warn(
            f"{capture.folder}: {len(without_alpha)} of its {count} pictures have no alpha channel, others have one; "
            f"they are taken as opaque, the first: {first}",
            stacklevel=2,
        )
    return _filled(alphas, count, 255), _filled(left_out, count, False)


def is_transparent(capture: Capture, *, ignore: bool = False) -> bool:
    """True where `decode_views` finds alpha; only pictures and masks that might have some are decoded.

    Raises InputError for those that cannot be.
    """
    with quiet_decoding():
        for view in capture.views:
            if view.mask is not None and not ignore:
                if read_mask(view.mask).min() < 255:
                    return True
            elif has_alpha_channel(view.image) and read_image(view.image)[..., 3].min() < 255:
                return True
    return False


def _filled(planes: dict[int, Tensor], count: int, elsewhere: int | bool) -> Tensor | None:
    """Planes (1, H, W) of some of so many views for all of them; None when there is none. Takes them away."""
    if not planes:
        return None
    some = next(iter(planes.values()))
    whole = torch.full((count, *some.shape), elsewhere, dtype=some.dtype)
    while planes:
        index, plane = planes.popitem()
        whole[index] = plane
    return whole


def _decoding_bytes(view: PosedImage, plan: PixelPlan, index: int) -> int:
    """About the memory that reading a view takes for a while."""
    each = _BYTES_A_PIXEL if plan.reduction(index) == 1 else _BYTES_A_REDUCED_PIXEL
    return each * view.lens.width * view.lens.height


def read_depth_maps(capture: Capture, plan: PixelPlan) -> Tensor | None:
    """Depths (N, 1, H, W) float32 in world units, infinite where nothing is seen.

    None when a view has no depth map, and when pictures are resized: averages of depths are no depths. Raises
    InputError when a map cannot be decoded or has another size than its view.
    """
    files = _depth_files(capture, plan)
    if not files:
        return None
    depth = torch.empty(len(files), 1, plan.height, plan.width)

    def read(index: int) -> None:
        depth[index] = _read_depth_map(files[index], capture.views[index], plan.windows[index])

    _in_threads(read, [_decoding_bytes(view, plan, index) for index, view in enumerate(capture.views)])
    return depth


def _depth_files(capture: Capture, plan: PixelPlan) -> list[DepthFile]:
    """The depth map of every view, or an empty list."""
    files = [view.depth for view in capture.views if view.depth is not None]
    resized = any(plan.resizes(index) for index in range(len(capture.views)))
    return files if len(files) == len(capture.views) and not resized else []


def _read_view(
    view: PosedImage, plan: PixelPlan, index: int, *, ignore: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Colours (3, H, W), alpha and what the mask keeps (1, H, W), uint8, each of the latter None where there is none.

    Colours are averages of what the mask keeps.
    """
    reduction = plan.reduction(index)
    picture = torch.from_numpy(read_image(view.image, reduction=reduction, upright=view.turned))
    picture = picture.permute(2, 0, 1)[None]
    pixels, alpha = picture[:, :3], picture[:, 3:] if picture.shape[1] == 4 else None
    if view.mask is not None:
        with open_picture(view.mask) as mask:
            _check_size(view.mask, mask.size, view)
        mask_values = torch.from_numpy(read_mask(view.mask, reduction=reduction))[None, None]
        if ignore:
            return _read_kept(view, pixels, alpha, mask_values, plan, index)
        alpha = mask_values
    pixels, alpha = _brought(pixels, alpha, view.lens, plan, index)
    return pixels[0], None if alpha is None else alpha[0], None


def _read_kept(
    view: PosedImage, pixels: Tensor, alpha: Tensor | None, mask: Tensor, plan: PixelPlan, index: int
) -> tuple[Tensor, Tensor | None, Tensor]:
    """As `_read_view`: nothing of what `mask` leaves out goes into any colour or alpha."""
    # Pixels averaged while decoding are kept where all of them are.
    kept = torch.where(mask >= (_KEPT if plan.reduction(index) == 1 else 255), 255, 0).to(torch.uint8)
    if alpha is None:
        colors, coverage = _brought(pixels, kept, view.lens, plan, index)
        assert coverage is not None
        return colors[0], None, coverage[0]
    weight = torch.where(kept > 0, alpha, 0)
    colors, _ = _brought(pixels, weight, view.lens, plan, index)
    alphas, coverage = _brought(alpha.expand(-1, 3, -1, -1), kept, view.lens, plan, index)
    assert coverage is not None
    return colors[0], alphas[0, :1], coverage[0]


def _brought(
    pixels: Tensor, alpha: Tensor | None, lens: Lens, plan: PixelPlan, index: int
) -> tuple[Tensor, Tensor | None]:
    """Decoded pictures undistorted, cropped and resized as planned for view `index`; as in `resample`."""
    window, reduction = plan.windows[index], plan.reduction(index)
    if reduction > 1:
        # About one sample for every pixel that decoding left, so that none is passed over.
        samples = -(-window.width // (reduction * plan.width))
        positions = _sample_positions(lens, window, plan, samples=samples) / reduction
        return resample(
            pixels,
            alpha,
            lambda planes: area_averaged(sampled(planes, positions), width=plan.width, height=plan.height),
        )
    if lens.distortion != PINHOLE:
        stored = distorted_pixels(lens)
        pixels, alpha = resample(pixels, alpha, lambda planes: sampled(planes, stored))
    pixels, alpha = _cropped(pixels, window), None if alpha is None else _cropped(alpha, window)
    if plan.resizes(index):
        pixels, alpha = resize(pixels, alpha, width=plan.width, height=plan.height)
    return pixels, alpha


def _sample_positions(lens: Lens, window: Window, plan: PixelPlan, *, samples: int) -> Tensor:
    """(samples H, samples W, 2) positions in the stored picture of evenly spread samples of the scene's pixels."""
    columns = (torch.arange(samples * plan.width) + 0.5) * (window.width / (samples * plan.width))
    rows = (torch.arange(samples * plan.height) + 0.5) * (window.height / (samples * plan.height))
    return distorted_positions(lens, columns=window.left + columns, rows=window.top + rows)


def _read_depth_map(depth: DepthFile, view: PosedImage, window: Window) -> Tensor:
    with open_picture(depth.file) as picture:
        _check_size(depth.file, picture.size, view)
        values = torch.from_numpy(read_depth(depth.file, unit=depth.unit))[None, None]
    if view.lens.distortion != PINHOLE:
        values = undistort(values, view.lens, mode="nearest")
    return _cropped(values, window)[0]


def _check_size(file: Path, size: tuple[int, int], view: PosedImage) -> None:
    if size != (view.lens.width, view.lens.height):
        raise InputError(
            file, f"is {size[0]}x{size[1]}, but {view.name} is {view.lens.width}x{view.lens.height}"
        )


def _cropped(planes: Tensor, window: Window) -> Tensor:
    rows = slice(window.top, window.top + window.height)
    columns = slice(window.left, window.left + window.width)
    return planes[..., rows, columns]


def _in_threads(read: Callable[[int], None], sizes: Sequence[int]) -> None:
    """Call `read` for the index of every entry of `sizes`, the bytes that it takes: decoders release the interpreter's
    lock.

    Few threads, because each holds a picture of full size. A bar says how far it is when it lasts.
    """
    threads = max(1, min(4, os.cpu_count() or 1, _DECODING_BYTES // max(sizes)))
    with quiet_decoding(), ThreadPoolExecutor(max_workers=threads) as pool:
        started = time.monotonic()
        bar = None
        for done, _ in enumerate(pool.map(read, range(len(sizes))), start=1):
            if bar is not None:
                bar.update()
            elif time.monotonic() - started > _SILENT_SECONDS and done < len(sizes):
                bar = progress_bar("pictures", total=len(sizes), unit="picture", initial=done)
        if bar is not None:
            bar.close()
