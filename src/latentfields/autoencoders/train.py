"""Training an autoencoder from photographs and renders: reconstruction, a perceptual term, an optional KL term."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder, TrainableCodec
from latentfields.autoencoders.config import (
    PRESETS,
    AutoencoderPreset,
    AutoencoderRunConfig,
    AutoencoderTrainingConfig,
    PatchAutoencoderConfig,
)
from latentfields.autoencoders.image_data import TrainingImages, centre_square, load_training_images
from latentfields.autoencoders.load import called, opened
from latentfields.autoencoders.losses import kl_to_standard_normal, reconstruction_loss, sampled
from latentfields.autoencoders.patch import PatchAutoencoder
from latentfields.config.arguments import checked
from latentfields.devices import read, upload
from latentfields.errors import ArgumentError
from latentfields.files import Folders, as_folders
from latentfields.measures.perceptual import gradient_similarity_loss
from latentfields.process import choose_device
from latentfields.scenes.load import Scenes, as_scene_folders
from latentfields.training.loop import LoopConfig, train
from latentfields.training.muon import Muon
from latentfields.training.recipe import begin, finish
from latentfields.training.schedules import cosine_decay, set_learning_rates, with_peaks
from latentfields.training.state import Parts

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
    """Trains one network; a `Trainable` for `training.loop.train`.

    Random numbers are drawn on the CPU, whatever device the network is on.
    """

    def __init__(
        self, model: TrainableCodec, data: TrainingImages, options: AutoencoderTrainingConfig
    ) -> None:
        self.model = model
        self.data = data
        self.options = options
        self.device = next(model.parameters()).device
        # On the CPU, so that every device sees the same batches and the same noise.
        self.generator = torch.Generator().manual_seed(options.seed)
        stride_one = (m for m in model.modules() if isinstance(m, nn.Conv2d) and m.stride == (1, 1))
        kernels = [cast(nn.Parameter, module.weight) for module in stride_one]
        chosen = {id(p) for p in kernels}
        others = [p for p in model.parameters() if id(p) not in chosen]
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self._kernels = kernels
        if kernels:
            self.optimizers["muon"] = with_peaks(
                Muon(kernels, lr=options.learning_rate * options.muon_factor)
            )
        if others:
            self.optimizers["adam"] = with_peaks(
                torch.optim.AdamW(others, lr=options.learning_rate, weight_decay=0.0, fused=True)
            )
        self._parts = Parts(
            modules={"model": model},
            optimizers=self.optimizers,
            generators={"generator": self.generator},
        )

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch."""
        for optimizer in self.optimizers.values():
            set_learning_rates(optimizer, self._schedule(index, progress))
            optimizer.zero_grad()
        options = self.options
        images = self.data.batch(
            photos=options.photos_per_batch if self.data.photos else 0,
            renders=options.renders_per_batch,
            generator=self.generator,
        )
        loss, parts = self._loss(upload(images, self.device))
        loss.backward()
        # Every batch counts for its direction alone. Gradients of some are fifty times as long as others', and would be
        # the momentum of forty steps of full length: deeper networks diverged by that after a thousand.
        for kernel in self._kernels:
            if kernel.grad is not None:
                kernel.grad.div_(kernel.grad.norm().clamp(min=1e-12))
        for optimizer in self.optimizers.values():
            optimizer.step()
        return read(parts)

    def _loss(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        options = self.options
        mean, log_variance = self.model.encode(images)
        latents = mean if log_variance is None else sampled(mean, log_variance, generator=self.generator)
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
        tensors, groups = self._parts.pack()
        return tensors, {"groups": groups}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self._parts.unpack(tensors, metadata["groups"])

    def finished(self, *, name: str) -> Autoencoder:
        """The trained network, on its device, with the statistics of its latents on the training images."""
        autoencoder = Autoencoder(self.model.eval(), None, name=name).to(self.device)
        generator = torch.Generator().manual_seed(self.options.seed)
        share = self.options.photos_per_batch / (
            self.options.photos_per_batch + self.options.renders_per_batch
        )
        photos = round(STATISTICS_IMAGES * share) if self.data.renders is not None else STATISTICS_IMAGES
        photos = photos if self.data.photos else 0
        images = self.data.batch(photos=photos, renders=STATISTICS_IMAGES - photos, generator=generator)
        autoencoder.renew_statistics(images)
        return autoencoder


@checked
def train_autoencoder(
    training: AutoencoderTrainingConfig | AutoencoderPreset = "small",
    *,
    photos: Folders = (),
    scenes: Scenes = (),
    out: str | Path,
    architecture: PatchAutoencoderConfig | TrainableCodec | None = None,
    start: Autoencoder | str | Path | None = None,
    device: str = "auto",
    loop: LoopConfig | None = None,
) -> Autoencoder:
    """Train on folders of photographs and scenes; `out/autoencoder` holds the result. Resumes what was interrupted.

    `training` is a configuration, or the name of a preset. `scenes` are scenes or folders of them, of scenes in memory
    their folders. `start` is an autoencoder to continue from, its packaged name or its folder, which has an
    architecture; without it training starts from the linear codec in `architecture`, by default
    `PatchAutoencoderConfig()`, or from a `TrainableCodec` of one's own, once that was initialised from the training
    images. The encoder of a `PatchAutoencoder` is variational where its architecture, or without `start` a positive
    `kl_weight`, says so. `device` is as for `fit`; the result is on the CPU.
    Raises InputError for unusable folders and options or when `out` holds a run with other settings.
    """
    training = PRESETS[training] if isinstance(training, str) else training
    out = Path(out)
    training.check()
    target = choose_device(device)
    if start is not None and architecture is not None:
        raise ArgumentError("architecture", "is given beside `start`, which has one; expected one of both")
    model = _network(architecture, training) if start is None else _trained(start)
    if training.kl_weight > 0 and not model.variational:
        name = type(model).__name__ if start is None else called(start)
        raise ArgumentError(
            "kl_weight", f"is {training.kl_weight}, but the encoder of {name} is not variational"
        )
    if training.size % model.factor:
        raise ArgumentError("size", f"is {training.size}; expected a multiple of the factor {model.factor}")
    run = AutoencoderRunConfig(
        photos=as_folders(photos),
        scenes=as_scene_folders(scenes),
        start=None if start is None else called(start),
        architecture=model.config,
        training=training,
        codec=type(model).__name__,
    )
    with begin(run, out, lambda: _data(run)) as data:
        if start is None:
            model.initialise(starting_images(data, seed=training.seed))
        # Weights are drawn on the CPU: the same ones for every device.
        trainer = AutoencoderTrainer(model.to(target), data, training)
        seconds = train(
            trainer, steps=training.steps, folder=out, label="autoencoder", options=loop or LoopConfig()
        )
        result = trainer.finished(name=out.name).cpu()
        return finish(out, result, {"steps": training.steps}, seconds=seconds, device=target)


def _data(run: AutoencoderRunConfig) -> TrainingImages:
    """Read the training data. Raises InputError when batches would be empty: what is asked for is not among it."""
    training = run.training
    data = load_training_images(run.photos, run.scenes, size=training.size)
    photos = training.photos_per_batch if data.photos else 0
    renders = training.renders_per_batch if data.renders is not None else 0
    if photos + renders < 1:
        raise ArgumentError(
            "photos_per_batch",
            f"is {training.photos_per_batch}, and `renders_per_batch` {training.renders_per_batch}; of the images that "
            "were given, expected at least one in a batch",
        )
    return data


def _trained(start: Autoencoder | str | Path) -> TrainableCodec:
    """The network of an autoencoder that can be trained on. Raises InputError for others."""
    codec = opened(start).codec
    if not isinstance(codec, TrainableCodec):
        raise ArgumentError(
            "start", f"is {called(start)}, a {type(codec).__name__}; expected a kind that is trained here"
        )
    return codec


def _network(
    architecture: PatchAutoencoderConfig | TrainableCodec | None, options: AutoencoderTrainingConfig
) -> TrainableCodec:
    """A network that was not trained yet."""
    if isinstance(architecture, TrainableCodec):
        return architecture
    config = architecture or PatchAutoencoderConfig()
    config.check("architecture")
    config = replace(config, variational=config.variational or options.kl_weight > 0)
    return new_network(config, seed=options.seed)
