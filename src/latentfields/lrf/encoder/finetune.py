"""`finetune_encoder`: from an autoencoder and correspondences to a correspondence-aware one. Resumable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import TrainingImages, load_training_images
from latentfields.autoencoders.load import called, opened
from latentfields.config.arguments import checked
from latentfields.correspondences.pair_batches import PairImages
from latentfields.files import Folders, as_folders
from latentfields.lrf.encoder.config import PRESETS, EncoderPreset, EncoderRunConfig, EncoderTrainingConfig
from latentfields.lrf.encoder.trainer import EncoderTrainer
from latentfields.lrf.encoder.view_consistency import view_consistency
from latentfields.process import choose_device
from latentfields.training.loop import LoopConfig, train
from latentfields.training.recipe import begin, finish

HELD_OUT_PAIRS = 128
"""Image pairs of the held-out data sets that are scored."""
_STATISTICS_PAIRS = 128
"""Image pairs that latent statistics are measured on."""


@checked
def finetune_encoder(
    training: EncoderTrainingConfig | EncoderPreset = "small",
    *,
    autoencoder: Autoencoder | str | Path = "base",
    correspondences: Folders,
    held_out: Folders = (),
    photos: Folders = (),
    out: str | Path,
    device: str = "auto",
    loop: LoopConfig | None = None,
) -> Autoencoder:
    """Train an autoencoder on data sets of correspondences; `out/autoencoder` holds the result.

    `training` is a configuration, or the name of a preset. `autoencoder` is one in memory, which stays as it is, a name
    or a folder.
    `photos` are folders of photographs, of any content, that it is to go on reconstructing.
    `out/metrics.json` compares the autoencoder before with that after the training on the `held_out` data sets, where
    there are any. The result has statistics of its own latents. Run again after an interruption, it continues.
    `device` is as for `fit`. Raises InputError for unusable input, before anything is written, or when `out` holds a
    run with other settings.
    """
    training = PRESETS[training] if isinstance(training, str) else training
    out = Path(out)
    run = EncoderRunConfig(
        autoencoder=called(autoencoder),
        correspondences=as_folders(correspondences),
        held_out=as_folders(held_out),
        photos=as_folders(photos),
        training=training,
    )
    training.check()
    target = choose_device(device)
    model = opened(autoencoder)
    training.check_factor(model.factor)
    with begin(run, out, lambda: _prepared(run, model.to(target))) as (data, trainer):
        seconds = train(
            trainer, steps=training.steps, folder=out, label="encoder", options=loop or LoopConfig()
        )
        result = trainer.result
        result.renew_statistics(data.statistics_images())
        return finish(out, result.cpu(), data.scores(trainer), seconds=seconds, device=target)


@dataclass(frozen=True)
class _Data:
    """The data that a run trains on and is scored on."""

    pairs: PairImages
    whole: PairImages
    """The same pairs in windows as large as pictures are."""
    held_out: PairImages | None
    photos: TrainingImages | None
    photo_share: float
    """Photographs in a batch for each image of a pair, 0 without any."""
    seed: int

    @classmethod
    def of(cls, run: EncoderRunConfig, *, factor: int) -> _Data:
        """Read the data of `run`. Raises InputError when there is nothing usable."""

        def read(datasets: Sequence[Path], name: str) -> PairImages:
            return PairImages.open(datasets, size=run.training.size, factor=factor, name=name)

        photos, size, window = run.photos, run.training.size, run.training.window
        whole = read(run.correspondences, "correspondences")
        cut = window is not None and window < size
        return cls(
            pairs=PairImages(whole.scenes, size=size, factor=factor, window=window) if cut else whole,
            whole=whole,
            held_out=read(run.held_out, "held_out") if run.held_out else None,
            photos=load_training_images(photos, (), size=size) if photos else None,
            photo_share=run.training.photos_per_batch / (2 * run.training.pairs_per_batch) if photos else 0.0,
            seed=run.training.seed,
        )

    def statistics_images(self) -> Tensor:
        """Images (B, 3, S, S) of a number of pairs, and photographs in proportion, as latents of both are trained."""
        images = self.whole.batch(0, pairs=_STATISTICS_PAIRS, points=1, seed=self.seed).images
        count = round(self.photo_share * len(images))
        if self.photos is None or not count:
            return images
        generator = torch.Generator().manual_seed(self.seed)
        return torch.cat([images, self.photos.batch(photos=count, renders=0, generator=generator)])

    def scores(self, trainer: EncoderTrainer) -> dict[str, Any]:
        """Scores of the views' agreement before and after the training, where there are held-out pairs."""
        if self.held_out is None:
            return {}
        return {
            name: asdict(view_consistency(candidate, self.held_out, count=HELD_OUT_PAIRS))
            for name, candidate in (("before", trainer.original), ("after", trainer.result))
        }


def _prepared(run: EncoderRunConfig, model: Autoencoder) -> tuple[_Data, EncoderTrainer]:
    """The data and the trainer of `model`, which gets statistics where it has none."""
    data = _Data.of(run, factor=model.factor)
    model.ensure_statistics(data.statistics_images)
    return data, EncoderTrainer(model, data.pairs, run.training, photos=data.photos)
