"""The plan of every batch, and the parts of a batch that follow from seeds.

The content of batch i follows from the seed and i alone: a resumed run sees the same batches without any stored random
state, and every process can tell the whole batch without loading it.

Shape suffixes: S scenes in the batch, V views of each, P photographs, B = S V.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from latentfields.autoencoders.image_data import TrainingImages
from latentfields.autoencoders.losses import latent_noise
from latentfields.igae.config import Equivariance, PhotoCrops, WindowOffsets
from latentfields.igae.equivariance import LatentTransform, drawn_transform

T = TypeVar("T")


@dataclass(frozen=True)
class BatchPlan:
    """The contents of one step's batch, before anything is loaded."""

    scenes: tuple[int, ...]
    """S different scenes."""
    views: tuple[Tensor, ...]
    """For each of them, V indices (int64) of views."""
    fitted: tuple[int, ...]
    """For each of them, how many of its views, the first ones, the scene is fitted to; the others are held out."""
    scene_seeds: tuple[int, ...]
    """For each of them, the seed of its rendering's jitter."""
    photo_seeds: tuple[int, ...]
    """P seeds that choose a photograph and its crop."""

    def part(self, scenes: slice, photos: slice) -> BatchPlan:
        """The plan of one process."""
        return replace(
            self,
            scenes=self.scenes[scenes],
            views=self.views[scenes],
            fitted=self.fitted[scenes],
            scene_seeds=self.scene_seeds[scenes],
            photo_seeds=self.photo_seeds[photos],
        )


@dataclass(frozen=True)
class BatchSchedule:
    """The plans of all steps."""

    views: tuple[Tensor, ...]
    """For every scene, the indices of the views to choose from."""
    scenes_per_batch: int
    views_per_scene: int
    photos_per_batch: int
    seed: int
    held_out: tuple[Tensor, ...] = ()
    """For every scene, the indices of the views that it is not fitted to; () where none are asked for."""
    held_out_per_scene: int = 0
    """Views of these in a batch, of every scene that has as many."""

    def steps(self, epochs: float) -> int:
        """Steps after which every view was seen `epochs` times on average; at least one."""
        # Scenes with fewer views than a batch takes of one count as if they had as many.
        total = sum(len(views) for views in self.views)
        per_batch = self._scenes * min(self.views_per_scene, max(map(len, self.views)))
        return max(1, round(epochs * total / per_batch))

    def plan(self, step: int) -> BatchPlan:
        """Scenes in turn, in an order that is new each time round; views at random without repetition."""
        # Streams are keyed by (seed, purpose, step): any step's plan is known without those before it.
        random = np.random.default_rng([self.seed, 0, step])
        scenes = self._turn(step)
        views = tuple(_some(self.views[scene], self.views_per_scene, random) for scene in scenes)
        plan = BatchPlan(
            scenes=scenes,
            views=views,
            fitted=tuple(map(len, views)),
            scene_seeds=_seeds(random, len(scenes)),
            photo_seeds=_seeds(random, self.photos_per_batch),
        )
        if not self.held_out_per_scene:
            return plan
        others = [_some(self.held_out[scene], self.held_out_per_scene, random) for scene in scenes]
        return replace(plan, views=tuple(map(torch.cat, zip(views, others, strict=True))))

    def transform(
        self, step: int, *, kind: Equivariance, share: float, factor: int, side: int
    ) -> LatentTransform | None:
        """How L_ae changes latents of `side` x `side` in this step, for `share` of the steps; None: not at all."""
        random = np.random.default_rng([self.seed, 2, step])
        if kind == "none" or random.random() >= share:
            return None
        return drawn_transform(kind, factor=factor, side=side, random=random)

    @property
    def _scenes(self) -> int:
        return min(self.scenes_per_batch, len(self.views))

    def _turn(self, step: int) -> tuple[int, ...]:
        """The scenes of a batch. Where they do not divide evenly, some sit out a round."""
        # Turns, not draws: every scene moves equally often, and its optimiser's moments stay as fresh as the others'.
        batches = len(self.views) // self._scenes
        order = np.random.default_rng([self.seed, 1, step // batches]).permutation(len(self.views))
        start = step % batches * self._scenes
        return tuple(order[start : start + self._scenes].tolist())


def _some(views: Tensor, count: int, random: np.random.Generator) -> Tensor:
    count = min(count, len(views))
    return views[torch.from_numpy(random.choice(len(views), count, replace=False))]


def photo_crops(photos: TrainingImages, seeds: tuple[int, ...], *, crops: PhotoCrops = "random") -> Tensor:
    """A random photograph for every seed, (P, 3, S, S): a random square of it, or the central one."""
    if not seeds:
        return torch.empty(0, 3, photos.size, photos.size)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    if crops == "centre":
        return torch.stack([photos.central_square(generator) for generator in generators])
    return torch.cat([photos.batch(photos=1, renders=0, generator=generator) for generator in generators])


def batch_noise(plan: BatchPlan, *, strongest: float, shape: tuple[int, int, int]) -> Tensor:
    """`latent_noise` (B + P, C, h, w) for the latents, of `shape` (C, h, w), of a plan's scene views and photographs.

    It follows from the seeds of scenes and photographs: the same for any number of processes.
    """
    counts = [len(views) for views in plan.views] + [1] * len(plan.photo_seeds)
    parts = [torch.empty(0, *shape)]
    for seed, count in zip(plan.scene_seeds + plan.photo_seeds, counts, strict=True):
        # Seeds are shared with jitter and crops; one more gives other numbers. Drawn per scene and photograph, so that
        # two processes make the same noise as one.
        generator = torch.Generator().manual_seed(seed + 1)
        parts.append(latent_noise((count, *shape), strongest=strongest, generator=generator))
    return torch.cat(parts)


@dataclass(frozen=True)
class Windows:
    """Where the square windows lie that views, or photographs, are cut to.

    Windows as large as what they are cut from lie where it lies, moved to the left and up by less than a latent.
    """

    size: int
    """Side in pixels of what is cut."""
    side: int
    """Side in pixels of windows."""
    factor: int
    """Pixels per latent along one side."""
    offsets: WindowOffsets
    """Whether windows lie between pixels or latents."""

    def drawn(self, counts: Sequence[int], seeds: Sequence[int]) -> tuple[Tensor, ...]:
        """For every seed, the corners (left, top) in pixels of as many windows as `counts` says: (V, 2), int64."""
        step = 1 if self.offsets == "pixels" else self.factor
        places = (self.size - self.side) // step + 1
        if self.side == self.size:
            places = self.factor // step
        return tuple(
            # Three more than the seed of jitter; noise has one more, draws from posteriors two.
            step * torch.randint(places, (count, 2), generator=torch.Generator().manual_seed(seed + 3))
            for count, seed in zip(counts, seeds, strict=True)
        )

    def cut(self, images: Tensor, corners: Tensor) -> Tensor:
        """Windows (B, 3, W, W) of images (B, 3, S, S) at `corners` (B, 2); beyond an image its edges go on."""
        beyond = max(0, int(corners.max()) + self.side - self.size) if len(corners) else 0
        if beyond:
            images = torch.nn.functional.pad(images, (0, beyond, 0, beyond), mode="replicate")
        windows = [
            image[:, top : top + self.side, left : left + self.side]
            for image, (left, top) in zip(images, corners.tolist(), strict=True)
        ]
        return torch.stack(windows) if windows else images[:, :, : self.side, : self.side]


def batch_draws(plan: BatchPlan, *, shape: tuple[int, int, int]) -> Tensor:
    """Normal numbers (B + P, C, h, w) for draws from the posteriors, each of `shape` (C, h, w), of a plan's images.

    They follow from the seeds of scenes and photographs, as `batch_noise`.
    """
    counts = [len(views) for views in plan.views] + [1] * len(plan.photo_seeds)
    parts = [torch.empty(0, *shape)]
    for seed, count in zip(plan.scene_seeds + plan.photo_seeds, counts, strict=True):
        parts.append(torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed + 2)))
    return torch.cat(parts)


def _seeds(random: np.random.Generator, count: int) -> tuple[int, ...]:
    return tuple(random.integers(0, 2**62, count).tolist())
