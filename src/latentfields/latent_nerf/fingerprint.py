"""Fingerprints that tell the scene and the autoencoder of a run from others, when they are read again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.fingerprint import weights_hash
from latentfields.errors import InputError
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread

VIEWS = 16
"""Views that are looked at, evenly spread over all."""
BLOCKS = 4
"""Blocks along each side of a picture whose mean colours are kept."""
CAMERA_TOLERANCE = 1e-4
"""Relative, and absolute in units of the normalised frame: far above rounding, far below another calibration."""
COLOR_TOLERANCE = 0.5 / 255
"""Of a block's mean colour: JPEG decoders differ in single pixels, by one level."""


@dataclass(frozen=True)
class Fingerprint:
    """A few numbers of a scene as it was fitted, on whole latents, and a hash of the autoencoder before alignment.

    Cameras and colours are compared with a tolerance and not by a hash: another machine decodes and normalises the
    same capture with other rounding.
    """

    views: int
    """How many there are."""
    splits: str
    """SHA-256 of the splits' indices."""
    cameras: list[list[float]]
    """Of `VIEWS` views: 3x4 camera-to-world, focal lengths and principal point in pixels."""
    colors: list[list[float]]
    """Of the same views: mean colours in [0, 1] of `BLOCKS` x `BLOCKS` blocks, over the background."""
    autoencoder: str | None
    """SHA-256 of its weights; None in RGB space."""

    @classmethod
    def of(cls, scene: Scene, autoencoder: Autoencoder | None) -> Fingerprint:
        """The fingerprint of what a run is fitted to, and with."""
        some = evenly_spread(torch.arange(len(scene)), VIEWS)
        cameras = scene.cameras[some]
        poses = cameras.camera_to_world[:, :3].flatten(1)
        # One view at a time: pixels take four times the memory as numbers.
        blocks = [adaptive_avg_pool2d(scene.images(index), BLOCKS).flatten(1) for index in some.split(1)]
        return cls(
            views=len(scene),
            splits=_splits_hash(scene),
            colors=_rounded(torch.cat(blocks)),
            cameras=_rounded(torch.cat([poses, cameras.focal, cameras.principal], dim=1)),
            autoencoder=None if autoencoder is None else weights_hash(autoencoder),
        )

    def check_scene(self, scene: Scene) -> None:
        """Raise InputError when `scene`, on whole latents, is not the one that this is of."""
        other = Fingerprint.of(scene, None)
        if other.views != self.views:
            raise _other_scene(scene, f"{other.views} views instead of {self.views}")
        if other.splits != self.splits:
            raise _other_scene(scene, "other splits")
        if not _close(self.cameras, other.cameras, relative=CAMERA_TOLERANCE, absolute=CAMERA_TOLERANCE):
            raise _other_scene(scene, "other cameras")
        if not _close(self.colors, other.colors, relative=0.0, absolute=COLOR_TOLERANCE):
            raise _other_scene(scene, "other pixels")

    def check_autoencoder(self, autoencoder: Autoencoder) -> None:
        """Raise InputError when `autoencoder` is not the one that this is of."""
        if weights_hash(autoencoder) != self.autoencoder:
            raise InputError(
                autoencoder.name, "has other weights than the autoencoder that the run was fitted with"
            )


def _other_scene(scene: Scene, difference: str) -> InputError:
    return InputError(
        scene.source,
        f"is not the scene that the run was fitted to: it has {difference}; one that was changed in memory is "
        "scored by latentfields.evaluate_run(run, scene=...)",
    )


def _splits_hash(scene: Scene) -> str:
    splits = {name: indices.tolist() for name, indices in scene.splits.items() if len(indices)}
    return hashlib.sha256(json.dumps(splits, sort_keys=True).encode()).hexdigest()


def _rounded(values: Tensor) -> list[list[float]]:
    return [[round(value, 6) for value in row] for row in values.tolist()]


def _close(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], *, relative: float, absolute: float
) -> bool:
    if [len(row) for row in first] != [len(row) for row in second]:
        return False
    pairs = ((a, b) for rows in zip(first, second, strict=True) for a, b in zip(*rows, strict=True))
    return all(math.isclose(a, b, rel_tol=relative, abs_tol=absolute) for a, b in pairs)
