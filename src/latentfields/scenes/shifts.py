"""Training views between the cells of a latent grid: the same pictures, moved by parts of a cell."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.scene import Scene


def shift_offsets(count: int, *, factor: int) -> list[tuple[int, int]]:
    """Return the `count`^2 shifts, (columns, rows) in pixels, of which the first is none; cells have `factor` pixels.

    They divide a cell evenly. Raises ArgumentError where they cannot.
    """
    if factor % count:
        raise ArgumentError("shifts", f"is {count}; expected a divisor of the autoencoder's factor, {factor}")
    along = [(index - count // 2) * factor // count for index in range(count)]
    return sorted(product(along, along), key=lambda offset: offset != (0, 0))


def is_shiftable(scene: Scene) -> bool:
    """Return whether it is known what comes into the pictures of `scene` where they are moved."""
    return scene.alpha is not None and scene.ignored is None


def require_shiftable(scene: Scene, count: int, *, factor: int) -> None:
    """Raise InputError where the views of `scene` cannot be shifted: what comes into a picture has to be known."""
    if count == 1:
        return
    shift_offsets(count, factor=factor)
    if not is_shiftable(scene):
        why = "no alpha" if scene.alpha is None else "ignored pixels"
        raise InputError(scene.source, f"has {why}; `shifts` {count} moves objects with alpha or masks alone")


def with_shifts(scene: Scene, count: int, *, factor: int) -> Scene:
    """Return the scene with every training view `count`^2 times, shifted by parts of a cell of `factor` pixels.

    An encoder sees other pixels in each cell then, and rays through the centres of cells lie between those of the
    others. Principal points move with the pictures; the background comes in. First of the training views are those that
    are not shifted, in their order; all shifts follow, one after the other. Raises InputError as `require_shiftable`.
    """
    require_shiftable(scene, count, factor=factor)
    if count == 1 or scene.alpha is None:
        return scene
    train = scene.indices("train")
    cameras, names = [scene.cameras], list(scene.image_names)
    pixels, alpha = [scene.pixels], [scene.alpha]
    for columns, rows in shift_offsets(count, factor=factor)[1:]:
        pixels.append(_moved(scene.pixels[train], columns, rows))
        alpha.append(_moved(scene.alpha[train], columns, rows))
        offsets = torch.tensor([[-columns, -rows]]).expand(len(train), 2)
        cameras.append(
            scene.cameras[train].windows(offsets, width=scene.cameras.width, height=scene.cameras.height)
        )
        names += [f"{scene.image_names[index]} {columns:+d} {rows:+d}" for index in train.tolist()]
    shifted = torch.arange(len(scene), len(names))
    return replace(
        scene,
        pixels=torch.cat(pixels),
        alpha=torch.cat(alpha),
        cameras=replace(
            scene.cameras,
            camera_to_world=torch.cat([part.camera_to_world for part in cameras]),
            focal=torch.cat([part.focal for part in cameras]),
            principal=torch.cat([part.principal for part in cameras]),
        ),
        image_names=tuple(names),
        splits={**scene.splits, "train": torch.cat([train, shifted])},
        depth=None,
    )


def _moved(images: Tensor, columns: int, rows: int) -> Tensor:
    """Images (N, C, H, W) moved to the right and down; zeros come in."""
    height, width = images.shape[-2:]
    margin = max(abs(columns), abs(rows))
    padded = torch.nn.functional.pad(images, (margin,) * 4)
    top, left = margin - rows, margin - columns
    return padded[..., top : top + height, left : left + width].contiguous()
