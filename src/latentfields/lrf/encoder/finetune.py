"""`finetune_encoder`: from an autoencoder and correspondences to a correspondence-aware one. Resumable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import load_training_images
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import ArgumentError
from latentfields.files import write_json
from latentfields.lrf.correspondences.files import open_dataset
from latentfields.lrf.encoder.config import EncoderTrainingConfig
from latentfields.lrf.encoder.pair_batches import PairImages
from latentfields.lrf.encoder.trainer import EncoderTrainer
from latentfields.lrf.encoder.view_consistency import view_consistency
from latentfields.process import choose_device
from latentfields.training.loop import LoopConfig, train
from latentfields.training.runs import claim_run

HELD_OUT_PAIRS = 128
"""Image pairs of the held-out data sets that are scored."""
_STATISTICS_PAIRS = 128
"""Image pairs that latent statistics are measured on."""


def finetune_encoder(
    config: EncoderTrainingConfig,
    *,
    autoencoder: str | Path,
    correspondences: Sequence[Path],
    held_out: Sequence[Path],
    photos: Sequence[Path] = (),
    out: Path,
    device: str = "auto",
    loop: LoopConfig,
) -> Autoencoder:
    """Train `autoencoder` (a name or folder) on data sets of correspondences; `out/autoencoder` holds the result.

    `photos` are folders of photographs, of any content, that it is to go on reconstructing.
    `out/metrics.json` compares the original with the result on the `held_out` data sets, where there are any. The
    result has statistics of its own latents. Run again after an interruption, it continues. Raises InputError for
    unusable input, before anything is written, or when `out` holds a run with other settings.
    """
    config.check()
    target = choose_device(device)
    model = load_autoencoder(autoencoder)
    config.check_factor(model.factor)
    pairs = _pair_images(correspondences, config, factor=model.factor, name="correspondences")
    scored = _pair_images(held_out, config, factor=model.factor, name="held_out") if held_out else None
    kept = load_training_images(tuple(photos), (), size=config.size) if photos else None
    model = model.to(target)
    if not model.has_statistics:
        model.set_statistics(model.measure_statistics(_statistics_images(pairs, config).to(target)))
    trainer = EncoderTrainer(model, pairs, config, photos=kept, device=target)
    claim_run(
        out,
        {
            "kind": "correspondence-aware autoencoder",
            "autoencoder": str(autoencoder),
            "correspondences": [*map(str, correspondences)],
            "held_out": [*map(str, held_out)],
            "photos": [*map(str, photos)],
            "training": asdict(config),
        },
    )
    seconds = train(trainer, steps=config.steps, folder=out, label="encoder", options=loop)
    model.set_statistics(model.measure_statistics(_statistics_images(pairs, config).to(target)))
    metrics: dict[str, object] = {"seconds": round(seconds, 1)}
    if scored is not None:
        for name, candidate in (("original", trainer.original), ("finetuned", model)):
            metrics[name] = asdict(view_consistency(candidate, scored, count=HELD_OUT_PAIRS, device=target))
    write_json(out / "metrics.json", metrics)
    model = model.to("cpu")
    model.save(out / "autoencoder")
    return model


def _pair_images(
    datasets: Sequence[Path], config: EncoderTrainingConfig, *, factor: int, name: str
) -> PairImages:
    """The pairs of all data sets together; one batch is drawn to see that there are usable ones."""
    if not datasets:
        raise ArgumentError(name, "name at least one folder written by `lrf correspond`")
    scenes = [scene for folder in datasets for scene in open_dataset(folder)]
    pairs = PairImages(scenes, size=config.size, factor=factor)
    pairs.batch(0, pairs=1, points=1, seed=config.seed)
    return pairs


def _statistics_images(pairs: PairImages, config: EncoderTrainingConfig) -> Tensor:
    """Images (B, 3, S, S) of a number of pairs."""
    return pairs.batch(0, pairs=_STATISTICS_PAIRS, points=1, seed=config.seed).images
