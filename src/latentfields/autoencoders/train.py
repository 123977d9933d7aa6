"""Training an autoencoder from photographs and renders: reconstruction, a perceptual term, an optional KL term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder, TrainableCodec
from latentfields.autoencoders.config import AutoencoderTraining, PatchAutoencoderConfig
from latentfields.autoencoders.image_data import TrainingImages, centre_square, load_training_images
from latentfields.autoencoders.load import load_autoencoder
from latentfields.autoencoders.losses import kl_to_standard_normal, reconstruction_loss
from latentfields.autoencoders.patch import CLASS_FIELD, PatchAutoencoder
from latentfields.config.typed_json import to_json
from latentfields.errors import InputError
from latentfields.measures.perceptual import gradient_similarity_loss
from latentfields.training.checkpoint import pack_optimizer, unpack_optimizer, with_prefix, without_prefix
from latentfields.training.loop import LoopOptions, train
from latentfields.training.muon import Muon
from latentfields.training.runs import claim_run
from latentfields.training.schedules import cosine_decay

STATISTICS_IMAGES = 512
"""Images that the stored latent statistics are measured on."""


def new_network(config: PatchAutoencoderConfig, *, seed: int) -> PatchAutoencoder:
    """A network with random weights, before `initialise`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PatchAutoencoder(config)


def starting_images(data: TrainingImages, *, seed: int) -> Tensor:
    """Images (B, 3, S, S) that a network is initialised from: all photographs, or renders where there are none."""
    if data.photos:
        return torch.stack([centre_square(photo, size=data.size) for photo in data.photos])
    return data.batch(photos=0, renders=STATISTICS_IMAGES, generator=torch.Generator().manual_seed(seed))


class AutoencoderTrainer:
    """Trains one network; a `Trainable` for `training.loop.train`."""

    def __init__(self, model: TrainableCodec, data: TrainingImages, options: AutoencoderTraining) -> None:
        self.model = model
        self.data = data
        self.options = options
        self.generator = torch.Generator().manual_seed(options.seed)
        stride_one = (m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (1, 1))
        kernels = [cast(nn.Parameter, module.weight) for module in stride_one]
        chosen = {id(p) for p in kernels}
        others = [p for p in model.parameters() if id(p) not in chosen]
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        if kernels:
            self.optimizers["muon"] = Muon(kernels, lr=options.learning_rate * options.muon_factor)
        if others:
            self.optimizers["adam"] = torch.optim.AdamW(
                others, lr=options.learning_rate, weight_decay=0.0, fused=True
            )
        self.peaks = {name: float(opt.param_groups[0]["lr"]) for name, opt in self.optimizers.items()}

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch."""
        for name, optimizer in self.optimizers.items():
            optimizer.param_groups[0]["lr"] = self.peaks[name] * self._schedule(index, progress)
            optimizer.zero_grad()
        options = self.options
        images = self.data.batch(
            photos=options.photos_per_batch if self.data.photos else 0,
            renders=options.renders_per_batch,
            generator=self.generator,
        )
        loss, parts = self._loss(images)
        loss.backward()
        for optimizer in self.optimizers.values():
            optimizer.step()
        return {name: float(value.detach()) for name, value in parts.items()}

    def _loss(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        options = self.options
        mean, log_variance = self.model.encode(images)
        latents = mean
        if log_variance is not None:
            latents = mean + torch.randn(mean.shape, generator=self.generator) * (0.5 * log_variance).exp()
        decoded = self.model.decode(latents)
        loss = reconstruction_loss(decoded, images, kind=options.reconstruction)
        parts = {"reconstruction": loss}
        if options.perceptual_weight:
            parts["perceptual"] = gradient_similarity_loss(decoded, images).mean()
            loss = loss + options.perceptual_weight * parts["perceptual"]
        if log_variance is not None:
            parts["kl"] = kl_to_standard_normal(mean, log_variance) / (images.shape[-1] * images.shape[-2])
            loss = loss + options.kl_weight * parts["kl"]
        return loss, parts

    def _schedule(self, index: int, progress: float) -> float:
        warm = min(1.0, (index + 1) / max(1, self.options.warmup_steps))
        return warm * cosine_decay(progress, final=self.options.final_learning_rate)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights, optimisers and the random generator."""
        tensors = with_prefix("model", self.model.state_dict())
        tensors["generator"] = self.generator.get_state()
        groups = {}
        for name, optimizer in self.optimizers.items():
            packed, groups[name] = pack_optimizer(optimizer, name)
            tensors.update(packed)
        return tensors, {"groups": groups}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.model.load_state_dict(without_prefix("model", tensors))
        self.generator.set_state(tensors["generator"])
        for name, optimizer in self.optimizers.items():
            unpack_optimizer(optimizer, name, tensors, metadata["groups"][name])

    def finished(self, *, name: str) -> Autoencoder:
        """The trained network with the statistics of its latents on the training images."""
        autoencoder = Autoencoder(self.model.eval(), None, name=name)
        generator = torch.Generator().manual_seed(self.options.seed)
        share = self.options.photos_per_batch / (
            self.options.photos_per_batch + self.options.renders_per_batch
        )
        photos = round(STATISTICS_IMAGES * share) if self.data.renders is not None else STATISTICS_IMAGES
        photos = photos if self.data.photos else 0
        images = self.data.batch(photos=photos, renders=STATISTICS_IMAGES - photos, generator=generator)
        autoencoder.set_statistics(autoencoder.measure_statistics(images))
        return autoencoder


def train_autoencoder(
    options: AutoencoderTraining,
    *,
    photos: tuple[Path, ...],
    scenes: tuple[Path, ...],
    out: Path,
    architecture: PatchAutoencoderConfig | TrainableCodec | None = None,
    start: str | Path | None = None,
    loop: LoopOptions,
) -> Autoencoder:
    """Train on folders of photographs and scenes; `out/autoencoder` holds the result. Resumes what was interrupted.

    `start` is the packaged name or the folder of an autoencoder to continue from, which has an architecture; without
    it training starts from the linear codec in `architecture`, by default `PatchAutoencoderConfig()`, or from a
    `TrainableCodec` of one's own, once that was initialised from the training images. The encoder of a
    `PatchAutoencoder` is variational where its architecture, or without `start` a positive `kl_weight`, says so.
    Raises InputError for unusable folders and options or when `out` holds a run with other settings.
    """
    options.check()
    if start is not None and architecture is not None:
        raise InputError("--architecture", "is given beside --start, which has one; expected one of both")
    model = _network(architecture, options) if start is None else _trained(start)
    if options.kl_weight > 0 and not model.variational:
        raise InputError(
            "--kl-weight",
            f"is {options.kl_weight}, but the encoder of {start or type(model).__name__} is not variational",
        )
    if options.size % model.factor:
        raise InputError("--size", f"is {options.size}; expected a multiple of the factor {model.factor}")
    # Input is read before the folder is claimed: bad input leaves nothing behind.
    data = load_training_images(photos, scenes, size=options.size)
    _require_batches(options, data)
    claim_run(
        out,
        {
            "kind": "autoencoder",
            "photos": [*map(str, photos)],
            "scenes": [*map(str, scenes)],
            "start": None if start is None else str(start),
            "architecture": _architecture(model),
            "training": asdict(options),
        },
    )
    if start is None:
        model.initialise(starting_images(data, seed=options.seed))
    trainer = AutoencoderTrainer(model, data, options)
    train(trainer, steps=options.steps, folder=out, label="autoencoder", options=loop)
    autoencoder = trainer.finished(name=out.name)
    autoencoder.save(out / "autoencoder")
    return autoencoder


def _trained(start: str | Path) -> TrainableCodec:
    """The network of an autoencoder that can be trained on. Raises InputError for others."""
    codec = load_autoencoder(start).codec
    if not isinstance(codec, TrainableCodec):
        raise InputError("--start", f"{start} is a {type(codec).__name__}, which this command does not train")
    return codec


def _network(
    architecture: PatchAutoencoderConfig | TrainableCodec | None, options: AutoencoderTraining
) -> TrainableCodec:
    """A network that was not trained yet."""
    if isinstance(architecture, TrainableCodec):
        return architecture
    config = architecture or PatchAutoencoderConfig()
    if problem := config.problem():
        raise InputError("--architecture", problem)
    config = replace(config, variational=config.variational or options.kl_weight > 0)
    return new_network(config, seed=options.seed)


def _architecture(model: TrainableCodec) -> dict[str, Any]:
    """What a training is only resumed with: the sizes of the network, and its class if it is not the usual one."""
    sizes: dict[str, Any] = to_json(model.config)
    return sizes if isinstance(model, PatchAutoencoder) else {CLASS_FIELD: type(model).__name__, **sizes}


def _require_batches(options: AutoencoderTraining, data: TrainingImages) -> None:
    """Raise InputError when batches would be empty: what is asked for is not among the data."""
    photos = options.photos_per_batch if data.photos else 0
    renders = options.renders_per_batch if data.renders is not None else 0
    if photos + renders < 1:
        raise InputError(
            "--photos-per-batch",
            f"is {options.photos_per_batch}, and --renders-per-batch {options.renders_per_batch}; of the images that "
            "were given, expected at least one in a batch",
        )
