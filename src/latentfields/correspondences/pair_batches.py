"""Batches of image pairs: windows of the pictures that share correspondences.

A batch depends on the seed and its number alone, so that a resumed training sees the same ones.

Shape suffixes: B pairs in a batch, K points, S image side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentfields.autoencoders.image_data import random_integer
from latentfields.correspondences.files import SceneCorrespondences, open_dataset
from latentfields.correspondences.pose_error import absolute_pose_error
from latentfields.devices import upload
from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.images import read_image
from latentfields.scenes.resampling import composited, resize

_CACHE_BYTES = 1 << 30
"""Decoded pictures are kept up to about so much memory."""
_ATTEMPTS = 1000
"""So many draws of a pair without usable points are taken for a data set without any."""


@dataclass(frozen=True)
class PairBatch:
    """B image pairs."""

    images: Tensor
    """(2 B, 3, S, S) float32 in [0, 1]: the first images of all pairs, then the second ones."""
    positions: Tensor
    """(B, K, 2, 2) for every point, in either image, column and row in pixels of the window, centres at +0.5."""
    shared: Tensor
    """(B, K) bool: which entries are points; pairs with fewer than K of them are padded."""
    pose_errors: Tensor
    """(B,) float32 errors of Eq. 12 between the poses of the two images."""

    def part(self, pairs: slice) -> PairBatch:
        """Some of the pairs."""
        first, second = self.images.chunk(2)
        return PairBatch(
            images=torch.cat([first[pairs], second[pairs]]),
            positions=self.positions[pairs],
            shared=self.shared[pairs],
            pose_errors=self.pose_errors[pairs],
        )

    def to(self, device: torch.device) -> PairBatch:
        """The same batch on another device."""
        tensors = (self.images, self.positions, self.shared, self.pose_errors)
        return PairBatch(*(upload(tensor, device) for tensor in tensors))


def seeded_generator(*keys: int) -> torch.Generator:
    """Random numbers that depend on the keys (0 or more) alone. They are mixed, as torch reads 32 bits of a seed."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(keys).generate_state(1)[0]))


class PairImages:
    """The image pairs of a data set and their pictures."""

    def __init__(
        self, scenes: Sequence[SceneCorrespondences], *, size: int, factor: int, window: int | None = None
    ) -> None:
        """Pictures are brought to `size` pixels on their shorter side and composited on white.

        Windows have a side of `window` pixels, by default `size`. Where they are smaller, those of first images begin
        at whole latents, so that points at the centres of latents stay there, and those of second ones anywhere.
        Only points that are half a latent (`factor` / 2 pixels) or more inside count: further out there is nothing to
        interpolate. Raises InputError when a picture is smaller than `size`.
        """
        self.scenes, self.size, self.factor, self.margin = scenes, size, factor, factor / 2
        self.window = window or size
        for scene in scenes:
            if int(scene.sizes.min()) < size:
                raise InputError(
                    scene.folder,
                    f"has pictures of less than {size} pixels; expected at least the training size",
                )
        self._picture = lru_cache(maxsize=max(64, _CACHE_BYTES // (4 * size * size)))(self._read)

    @classmethod
    def open(
        cls, datasets: Sequence[Path], *, size: int, factor: int, window: int | None = None, name: str
    ) -> PairImages:
        """The pairs of all `datasets`, folders that `name` gave; one batch is drawn to see that there are usable ones.

        Raises InputError where there are none, and ArgumentError where there is no data set.
        """
        if not datasets:
            raise ArgumentError(name, "name at least one folder written by `lrf correspond`")
        scenes = [scene for folder in datasets for scene in open_dataset(folder)]
        pairs = cls(scenes, size=size, factor=factor, window=window)
        pairs.batch(0, pairs=1, points=1, seed=0)
        return pairs

    def batch(self, number: int, *, pairs: int, points: int, seed: int) -> PairBatch:
        """Batch `number`: `pairs` pairs of random scenes with up to `points` points each, in random windows.

        Raises InputError when pairs that are drawn again and again have no points inside of both pictures.
        """
        generator = seeded_generator(seed, number)
        drawn = [self._pair(points, generator) for _ in range(pairs)]
        positions = torch.zeros(pairs, points, 2, 2)
        shared = torch.zeros(pairs, points, dtype=torch.bool)
        for index, (_, found, _) in enumerate(drawn):
            positions[index, : len(found)] = found
            shared[index, : len(found)] = True
        return PairBatch(
            images=torch.cat([torch.stack([images[side] for images, _, _ in drawn]) for side in (0, 1)]),
            positions=positions,
            shared=shared,
            pose_errors=torch.stack([error for _, _, error in drawn]),
        )

    def _pair(self, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Windows (2, 3, S, S) of a random pair, its positions (K, 2, 2) in them, and its pose error."""
        chosen, pair, positions = self._drawn(generator)
        scene = self.scenes[chosen]
        anchor = positions[random_integer(len(positions), generator)]
        windows = []
        for side, image in enumerate(scene.pairs[pair].tolist()):
            picture = self._picture(chosen, image)
            step = self.factor if side == 0 and self.window < self.size else 1
            left, top = (
                _window(float(anchor[side, axis]), length, self.window, self.margin, step, generator)
                for axis, length in enumerate((picture.shape[2], picture.shape[1]))
            )
            windows.append(picture[:, top : top + self.window, left : left + self.window].float() / 255)
            positions[:, side] -= torch.tensor([left, top])
        inside = ((positions >= self.margin) & (positions <= self.window - self.margin)).flatten(1).all(dim=1)
        positions = positions[inside]
        positions = positions[torch.randperm(len(positions), generator=generator)[:points]]
        first, second = scene.poses[scene.pairs[pair]].split(1)
        return torch.stack(windows), positions, absolute_pose_error(first, second)[0].float()

    def _drawn(self, generator: torch.Generator) -> tuple[int, int, Tensor]:
        """A random scene, a random one of its pairs, and the points of the pair that are inside of both pictures."""
        for _ in range(_ATTEMPTS):
            chosen = random_integer(len(self.scenes), generator)
            pair = random_integer(len(self.scenes[chosen]), generator)
            positions = self._inner(self.scenes[chosen], pair)
            if len(positions):
                return chosen, pair, positions
        raise InputError(
            self.scenes[0].folder, f"{_ATTEMPTS} image pairs in a row share no point inside of both pictures"
        )

    def _inner(self, scene: SceneCorrespondences, pair: int) -> Tensor:
        """Positions (K, 2, 2) in the resized pictures of the points that are inside of both."""
        sizes = torch.stack([self._resized(scene.sizes[image]) for image in scene.pairs[pair]])
        positions = scene.fractions(pair) * sizes
        return positions[
            ((positions >= self.margin) & (positions <= sizes - self.margin)).flatten(1).all(dim=1)
        ]

    def _resized(self, size: Tensor) -> Tensor:
        """Width and height (2,) of a picture whose shorter side has been brought to the training size."""
        return (size * (self.size / size.min())).round().long()

    def _read(self, chosen: int, image: int) -> Tensor:
        scene = self.scenes[chosen]
        pixels = torch.from_numpy(read_image(scene.folder / scene.images[image])).permute(2, 0, 1)[None]
        alpha = pixels[:, 3:] if pixels.shape[1] == 4 else None
        width, height = self._resized(scene.sizes[image]).tolist()
        colours, alpha = resize(pixels[:, :3], alpha, width=width, height=height)
        if alpha is None:
            return colours[0]
        white = composited(colours[0].float(), alpha[0].float() / 255, (255.0, 255.0, 255.0))
        return white.round().to(torch.uint8)


def _window(
    anchor: float, length: int, size: int, margin: float, step: int, generator: torch.Generator
) -> int:
    """Start, a multiple of `step` where one is possible, of a random window of `size` of `length` pixels in which
    `anchor` is `margin` or more inside."""
    lowest = max(0, math.ceil(anchor + margin - size))
    highest = min(length - size, math.floor(anchor - margin))
    starts = range(-(-lowest // step) * step, highest + 1, step) or range(lowest, highest + 1)
    return starts[random_integer(len(starts), generator)]
