"""`align_decoder`: one decoder for the latent fields of many scenes (LRF Sec. 4.3), resumable scene by scene.

config.json     what was computed
fits/           the latent field that is being fitted; deleted when its pairs are written
pairs/          rendered latents and images of every scene (`align_pairs`)
log.jsonl       losses while the decoder is trained
state/          checkpoint for resuming
metrics.json    scores on the pairs, before and after
autoencoder/    the result: the encoder as it was, the decoder aligned
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.image_data import TrainingImages, load_training_images
from latentfields.autoencoders.load import load_autoencoder
from latentfields.config.typed_json import to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.files import write_json
from latentfields.latent_nerf.fit import METRICS_FILE, SMALLEST_SIDE
from latentfields.lrf.decoder.align_fit import fit_latent_field
from latentfields.lrf.decoder.align_scores import score_pairs
from latentfields.lrf.decoder.config import AlignConfig
from latentfields.lrf.decoder.pairs import Pairs, novel_views, write_pairs
from latentfields.lrf.decoder.trainer import DecoderAlignment
from latentfields.process import choose_device
from latentfields.scenes.load import load_scene, scene_folders_below
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread
from latentfields.training.loop import LoopConfig, train
from latentfields.training.runs import claim_run, is_claimed

STATISTICS_VIEWS = 8
"""Training views of every scene that latent statistics are measured on, where the autoencoder has none."""


def align_decoder(
    config: AlignConfig, *, out: Path, device: str = "auto", loop: LoopConfig | None = None
) -> Autoencoder:
    """Fit a latent field to every scene, render the pairs, and train the decoder on all of them (Eq. 11).

    Returns the autoencoder, on the CPU, that `out/autoencoder` holds: only its decoder differs from the one that
    `config` names. Training and novel views are defined in `align_pairs`. Run again after an interruption, it
    continues. `device` is as for `fit`.
    Raises InputError for unusable scenes or options, or when `out` holds a run with other settings.
    """
    config.check()
    target = choose_device(device)
    autoencoder = load_autoencoder(config.autoencoder)
    folders = [folder for root in config.scenes for folder in scene_folders_below(root)]
    # Input is read before the folder is claimed: bad input leaves nothing behind.
    if config.training.crop < autoencoder.factor:
        raise ArgumentError(
            "training.crop", f"is {config.training.crop}; expected at least the factor {autoencoder.factor}"
        )
    _prepare(folders, autoencoder, config)
    if not is_claimed(out):
        _photos(config, size=config.training.crop)
    claim_run(out, to_json(config))
    autoencoder = autoencoder.to(target)
    paths = [
        _scene_pairs(folder, f"{number:04d}-{folder.resolve().name}", autoencoder, config, out, device)
        for number, folder in enumerate(folders)
    ]
    shutil.rmtree(out / "fits", ignore_errors=True)
    pairs = Pairs(paths, factor=autoencoder.factor, crop=config.training.crop)
    photos = _photos(config, size=autoencoder.factor * pairs.cells)
    trainer = DecoderAlignment(autoencoder, pairs, config.training, photos=photos)
    seconds = train(
        trainer, steps=config.training.steps, folder=out, label="decoder", options=loop or LoopConfig()
    )
    scores = {"before": score_pairs(trainer.original, pairs), "after": score_pairs(autoencoder, pairs)}
    write_json(
        out / METRICS_FILE,
        {
            "scenes": len(paths),
            "training_views": len(pairs.training),
            "novel_views": len(pairs.novel),
            "training_seconds": seconds,
            **scores,
        },
    )
    autoencoder = autoencoder.cpu()
    autoencoder.save(out / "autoencoder")
    return autoencoder


def _scene(folder: Path, autoencoder: Autoencoder, config: AlignConfig) -> Scene:
    return load_scene(folder, max_size=config.size).cropped_to_multiple(autoencoder.factor)


def _photos(config: AlignConfig, *, size: int) -> TrainingImages | None:
    """The photographs that are large enough, if any were asked for."""
    return load_training_images(config.photos, (), size=size) if config.photos else None


def _prepare(folders: Sequence[Path], autoencoder: Autoencoder, config: AlignConfig) -> None:
    """Check that every scene can be used, and give the autoencoder statistics where it has none."""
    latents = []
    for folder in folders:
        scene = _scene(folder, autoencoder, config)
        novel_views(scene)
        training = scene.indices("train")
        if min(scene.size) < SMALLEST_SIDE:
            raise InputError(
                folder, f"images of {scene.size[1]}x{scene.size[0]}; expected {SMALLEST_SIDE} or more"
            )
        if not autoencoder.has_statistics:
            views = scene.images(evenly_spread(training, STATISTICS_VIEWS))
            latents.append(autoencoder.encode_batches(views).transpose(0, 1).flatten(1))
    if latents:
        autoencoder.set_statistics(LatentStatistics.of(torch.cat(latents, dim=1)[None, :, None]))


def _scene_pairs(
    folder: Path, name: str, autoencoder: Autoencoder, config: AlignConfig, out: Path, device: str
) -> Path:
    """File of a scene's pairs, made unless it is there."""
    path = out / "pairs" / f"{name}.safetensors"
    if not path.is_file():
        scene = _scene(folder, autoencoder, config)
        run = fit_latent_field(scene, autoencoder, out=out / "fits" / name, config=config.fit, device=device)
        run.model.to(autoencoder.latent_mean.device)
        write_pairs(path, run, scene, autoencoder)
        shutil.rmtree(run.folder)
    return path
