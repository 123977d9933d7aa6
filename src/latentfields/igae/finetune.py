"""`finetune_3d`: from an autoencoder, scenes and photographs to an IG-AE. Both phases, resumable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.losses import PerceptualLoss, perceptual_loss
from latentfields.errors import ArgumentError
from latentfields.files import write_json
from latentfields.igae.batches import photo_crops
from latentfields.igae.config import IgaeConfig
from latentfields.igae.dashboard import Dashboard, data_wait_share
from latentfields.igae.image_cache import CachedViews, Photos, cache_photos, cache_scenes
from latentfields.igae.input_checks import require_data, require_first_phase
from latentfields.igae.joint import JointTrainer
from latentfields.igae.pretrain import ScenePretrainer, cache_latents, open_latents
from latentfields.igae.scene_training import WHITE, SceneTraining
from latentfields.training.checkpoint import load_tensors
from latentfields.training.distributed import Processes, joined_processes, local_device
from latentfields.training.loop import LoopConfig, checkpoint_path, read_log
from latentfields.training.runs import claim_run, is_claimed

START_STATISTICS_FILE = "start_statistics.json"
"""In a run's folder: what latents are normalised with, where the autoencoder to start from does not say it."""
STATISTICS_IMAGES = 256
"""Scene views, and photographs, that latent statistics are measured on."""


def finetune_3d(
    config: IgaeConfig,
    *,
    autoencoder: str | Path,
    scenes: Sequence[Path],
    photos: Sequence[Path],
    out: Path,
    cache: Path | None = None,
    pretrained: Path | None = None,
    device: str = "auto",
    command: str,
    loop: LoopConfig,
) -> Autoencoder:
    """Train `autoencoder` (a name or folder) into an IG-AE; `out/autoencoder` holds the result.

    `scenes` and `photos` are folders; views and photographs are decoded once into `cache` (default `out/cache`).
    `pretrained` is the folder of another run whose latent scenes are taken over instead of fitting them again: its
    autoencoder, scenes and first phase must be the same. `command` repeats the run and is shown on its page.

    Run again after an interruption, it continues. Started by torchrun, all processes work on one global batch.
    Raises InputError for unusable settings or folders, or when `out` holds a run with other settings.
    """
    config.check()
    target = local_device(device)
    perceptual = perceptual_loss(config.perceptual, target)
    start = load_autoencoder(autoencoder)
    if config.size % start.factor:
        raise ArgumentError("size", f"is {config.size}; expected a multiple of the factor {start.factor}")
    description = _description(config, autoencoder, scenes, photos, pretrained)
    if pretrained is not None and config.has_3d:
        require_first_phase(pretrained, description)
    with joined_processes(target) as processes:
        if processes.first:
            # Input is read before the folder is claimed: bad input leaves nothing behind.
            if not is_claimed(out):
                require_data(config, scenes, photos)
            claim_run(out, description)
        processes.wait()
        run = _Run(config, start, scenes, photos, out, cache or out / "cache", target, processes, command)
        if config.has_3d:
            run.pretrain(pretrained, loop)
        run.train_jointly(perceptual, loop)
        return run.finish()


def _description(
    config: IgaeConfig,
    autoencoder: str | Path,
    scenes: Sequence[Path],
    photos: Sequence[Path],
    pretrained: Path | None,
) -> dict[str, Any]:
    return {
        "kind": "igae",
        "autoencoder": str(autoencoder),
        "scenes": [*map(str, scenes)],
        "photos": [*map(str, photos)],
        "pretrained": None if pretrained is None else str(pretrained),
        "training": asdict(config),
    }


class _Run:
    """One process's view of a training."""

    def __init__(
        self,
        config: IgaeConfig,
        autoencoder: Autoencoder,
        scenes: Sequence[Path],
        photos: Sequence[Path],
        out: Path,
        cache: Path,
        device: torch.device,
        processes: Processes,
        command: str,
    ) -> None:
        self.config, self.out, self.device, self.processes = config, out, device, processes
        self.autoencoder = autoencoder.to(device)
        self.views, self.photos = self._data(scenes, photos, cache)
        if not self.autoencoder.has_statistics:
            self._measure_statistics()
            if processes.first:
                write_json(out / START_STATISTICS_FILE, asdict(self.autoencoder.statistics))
        self.training = SceneTraining(config, self.views, self.autoencoder, device=device)
        self.dashboard = Dashboard(out, self.autoencoder, self.training, self.photos, config, command=command)

    def _data(
        self, scenes: Sequence[Path], photos: Sequence[Path], cache: Path
    ) -> tuple[CachedViews, Photos | None]:
        size = self.config.size
        for turn in (True, False):  # The first process fills the cache, the others find it filled.
            if self.processes.first == turn:
                grid = self.config.scenes.sampling.grid_resolution
                views = cache_scenes(scenes, size=size, background=WHITE, grid_resolution=grid, cache=cache)
                real = cache_photos(photos, size=size, cache=cache) if photos else None
            self.processes.wait()
        return views, real

    def _measure_statistics(self) -> None:
        """Statistics of latents over scene views and photographs, an equal number of each."""
        generator = torch.Generator().manual_seed(self.config.seed)
        train = torch.cat(self.views.train)
        chosen = train[torch.randperm(len(train), generator=generator)[:STATISTICS_IMAGES]]
        images = [self.views.images(chosen)]
        if self.photos is not None:
            seeds = torch.randint(2**62, (STATISTICS_IMAGES,), generator=generator).tolist()
            images.append(photo_crops(self.photos.train, tuple(seeds)))
        self.autoencoder.set_statistics(
            self.autoencoder.measure_statistics(torch.cat(images).to(self.device))
        )

    def pretrain(self, pretrained: Path | None, loop: LoopConfig) -> None:
        """First phase, or its result from another run."""
        if pretrained is not None:
            self.training.restore_scenes(load_tensors(checkpoint_path(pretrained / "pretraining"))[0])
            return
        latents = self.out / "pretraining" / "latents.f16"
        if self.processes.first:
            cache_latents(self.autoencoder, self.views, latents, device=self.device)
        self.processes.wait()
        trainer = ScenePretrainer(
            self.training,
            open_latents(self.autoencoder, self.views, latents),
            self.config,
            processes=self.processes,
            observer=self.dashboard.observer("latent scenes") if self.processes.first else None,
        )
        self.dashboard.pretraining_steps = trainer.total_steps
        self._run(trainer, folder=self.out / "pretraining", label="latent scenes", loop=loop)

    def train_jointly(self, perceptual: PerceptualLoss, loop: LoopConfig) -> None:
        """Second phase."""
        self.training.renew_optimizers()
        trainer = JointTrainer(
            self.autoencoder,
            self.training,
            self.photos,
            self.config,
            perceptual=perceptual,
            processes=self.processes,
            observer=self.dashboard.observer("joint") if self.processes.first else None,
        )
        self._run(trainer, folder=self.out / "joint", label="autoencoder and scenes", loop=loop)

    def _run(
        self, trainer: ScenePretrainer | JointTrainer, *, folder: Path, label: str, loop: LoopConfig
    ) -> None:
        """Train a phase, and end its reading of batches however that ends."""
        try:
            self.processes.train(trainer, steps=trainer.total_steps, folder=folder, label=label, options=loop)
        finally:
            trainer.batches.close()

    def finish(self) -> Autoencoder:
        """Last page, metrics, and the autoencoder with statistics that fit its latents as they are now."""
        if self.processes.first:
            scores = self.dashboard.write("finished")
            phases = {phase: read_log(self.out / phase) for phase in ("pretraining", "joint")}
            write_json(
                self.out / "metrics.json",
                {
                    "held_out": scores,
                    "phases": {
                        phase: {
                            "steps": records[-1]["step"],
                            "seconds": records[-1]["seconds"],
                            "data_wait_share": data_wait_share(records),
                        }
                        for phase, records in phases.items()
                        if records
                    },
                },
            )
        self._measure_statistics()
        autoencoder = self.autoencoder.to("cpu")
        if self.processes.first:
            autoencoder.save(self.out / "autoencoder")
        return autoencoder
