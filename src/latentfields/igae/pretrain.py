"""First phase: latent scenes are fitted to the latents of the frozen autoencoder (IG-AE Sec. 4.2).

Shape suffixes: T views of all scenes, B views in a batch, C latent channels, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.devices import read, upload
from latentfields.files import replacing
from latentfields.igae.batches import BatchPlan, BatchSchedule
from latentfields.igae.config import IgaeConfig
from latentfields.igae.image_cache import CachedViews
from latentfields.igae.losses import latent_loss
from latentfields.igae.scene_training import SceneTraining, planes_total_variation
from latentfields.training.distributed import Processes
from latentfields.training.prefetch import Prefetcher

EVALUATE_EVERY = 100
"""Steps between calls of the observer, in both phases."""

Observer = Callable[[int], Mapping[str, float]]
"""Called with the number of steps done; returns values to log."""


def cache_latents(autoencoder: Autoencoder, views: CachedViews, path: Path) -> None:
    """Write the normalised latents (T, C, h, w) of all views to `path`, float16, unless it is there already.

    Half precision costs 0.0005 of a latent's value, far below what a scene can fit.
    """
    if path.exists():
        return
    with replacing(path) as temporary, open(temporary, "wb") as file:
        for indices in torch.arange(len(views.cameras)).split(16):
            latents = autoencoder.encode_batches(views.images(indices).to(autoencoder.device))
            file.write(latents.half().cpu().numpy().tobytes())


def open_latents(autoencoder: Autoencoder, views: CachedViews, path: Path) -> NDArray[np.float16]:
    """Open the file that `cache_latents` wrote, memory-mapped."""
    side = views.cameras.width // autoencoder.factor
    shape = (len(views.cameras), autoencoder.channels, side, side)
    return np.memmap(path, dtype=np.float16, mode="r", shape=shape)


class ScenePretrainer:
    """Fits all scenes to cached latents; a `Trainable` for `training.loop.train`."""

    def __init__(
        self,
        training: SceneTraining,
        latents: NDArray[np.float16],
        config: IgaeConfig,
        *,
        processes: Processes,
        observer: Observer | None,
    ) -> None:
        """`latents` are those of all views (`cache_latents`)."""
        self.training, self.config, self.processes, self.observer = training, config, processes, observer
        self.latents = latents
        options = config.pretraining
        self.schedule = BatchSchedule(
            views=training.views.train,
            scenes_per_batch=options.scenes_per_batch,
            views_per_scene=options.views_per_scene,
            photos_per_batch=0,
            seed=2 * config.seed,
        )
        self.batches = Prefetcher(self._load)

    @property
    def total_steps(self) -> int:
        """Steps of this phase."""
        return self.schedule.steps(self.config.pretraining.epochs)

    def _load(self, step: int) -> tuple[BatchPlan, BatchPlan, Tensor]:
        whole = self.schedule.plan(step)
        mine = whole.part(self.processes.share(len(whole.scenes)), slice(0, 0))
        indices = torch.cat(mine.views) if mine.views else torch.empty(0, dtype=torch.int64)
        return whole, mine, torch.from_numpy(self.latents[indices.numpy()]).float()

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch."""
        (whole, mine, latents), waited = self.batches.get(index)
        options, training = self.config.pretraining, self.training
        share = len(mine.scenes) / len(whole.scenes)
        active = training.scenes.fetch(mine.scenes)
        values = {"latent": 0.0, "tv_planes": 0.0}
        if active:
            rendered = training.render(active, mine, update_grids=True)
            encoded = training.units.latents(upload(latents, training.device))
            latent = share * latent_loss(encoded, training.units.latents(rendered.features))
            variation = planes_total_variation(active, self.config.tv)
            if self.config.tv == "mean":  # Otherwise it is a sum over scenes already.
                variation = share * variation
            (latent + options.tv_weight * variation).backward()
            values = read({"latent": latent, "tv_planes": variation})
        decay = options.final_learning_rate**progress
        training.update(active, whole.scenes, decay=decay, processes=self.processes)
        values = self.processes.sum_values(values) | {"data_wait_seconds": waited}
        if self.observer is not None and (index + 1) % EVALUATE_EVERY == 0:
            values |= self.observer(index + 1)
        return values

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scenes, shared MLP and optimisers."""
        return self.training.state()

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.training.restore(tensors, metadata)
