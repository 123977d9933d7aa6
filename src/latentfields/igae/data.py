"""The training data of `finetune_3d`: checked before anything is written, then decoded once by one of the processes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentfields.autoencoders.image_data import photo_paths, read_photo
from latentfields.errors import ArgumentError
from latentfields.igae.batches import photo_crops
from latentfields.igae.config import IgaeConfig, PhotoCrops
from latentfields.igae.image_cache import (
    CachedViews,
    Photos,
    cache_photos,
    cache_scenes,
    require_two_photos,
    square_scene,
)
from latentfields.igae.scene_training import WHITE
from latentfields.scenes.load import scene_folders
from latentfields.training.distributed import Processes

STATISTICS_IMAGES = 256
"""Scene views, and photographs, that latent statistics are measured on."""


def require_data(config: IgaeConfig, scenes: Sequence[Path], photos: Sequence[Path]) -> None:
    """Raise InputError unless all scenes can be read and there are enough photographs.

    Photographs are read until two are large enough.
    """
    if config.has_preservation and not photos:
        raise ArgumentError(
            "photos", "name at least one folder of photographs; only no-preservation needs none"
        )
    if not scenes:
        raise ArgumentError("scenes", "name at least one folder of scenes")
    if photos:
        large = (
            path for path in photo_paths(tuple(photos)) if min(read_photo(path).shape[:2]) >= config.size
        )
        require_two_photos(len([*itertools.islice(large, 2)]), photos, size=config.size)
    for folder in scene_folders(scenes):
        scene = square_scene(folder, size=config.size, background=WHITE)
        scene.indices("train"), scene.indices("test")
        if config.joint.held_out_views and config.has_3d:
            scene.indices("val")


def cached_views(config: IgaeConfig, scenes: Sequence[Path], cache: Path) -> CachedViews:
    """The views of all scenes as `config` needs them, decoded into `cache` unless they are there."""
    grid = config.scenes.sampling.grid_resolution
    return cache_scenes(
        scenes,
        size=config.size,
        background=WHITE,
        grid_resolution=grid,
        cache=cache,
        with_validation=config.joint.held_out_views > 0 and config.has_3d,
    )


@dataclass(frozen=True)
class TrainingData:
    """Views of scenes, and photographs."""

    views: CachedViews
    photos: Photos | None
    """None where no folder of photographs was named."""

    @classmethod
    def read(
        cls,
        config: IgaeConfig,
        scenes: Sequence[Path],
        photos: Sequence[Path],
        *,
        cache: Path,
        processes: Processes,
    ) -> TrainingData:
        """The data as `config` needs them: the first process fills the cache, the others find it filled."""
        for turn in (True, False):
            if processes.first == turn:
                views = cached_views(config, scenes, cache)
                real = cache_photos(photos, size=config.size, cache=cache) if photos else None
            processes.wait()
        return cls(views, real)

    def statistics_images(self, *, seed: int, crops: PhotoCrops) -> Tensor:
        """Random scene views and photographs (B, 3, S, S), an equal number of each, to measure latents on."""
        generator = torch.Generator().manual_seed(seed)
        train = torch.cat(self.views.train)
        images = [
            self.views.images(train[torch.randperm(len(train), generator=generator)[:STATISTICS_IMAGES]])
        ]
        if self.photos is not None:
            seeds = torch.randint(2**62, (STATISTICS_IMAGES,), generator=generator).tolist()
            images.append(photo_crops(self.photos.train, tuple(seeds), crops=crops))
        return torch.cat(images)
