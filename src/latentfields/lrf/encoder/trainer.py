"""Training steps of correspondence-aware autoencoding (LRF Sec. 4.1): Eq. 7, and the discriminator beside it.

Shape suffixes: B image pairs, P photographs, K points of a pair, C latent channels, h, w latent size, H, W image size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import TrainingImages, random_integer
from latentfields.autoencoders.losses import perceptual_loss, reconstruction_loss, sampled, with_latent_noise
from latentfields.correspondences.losses import (
    correspondence_loss,
    exchanged_latents,
    matched_latents,
    relative_correspondence_loss,
)
from latentfields.correspondences.pair_batches import PairBatch, PairImages, seeded_generator
from latentfields.correspondences.pose_error import pair_weights
from latentfields.devices import read, uses_bfloat16
from latentfields.lrf.encoder.config import EncoderTrainingConfig
from latentfields.lrf.encoder.discriminator import Adversary
from latentfields.lrf.encoder.losses import distance_to_original, kl_to_original, stage_one_loss
from latentfields.lrf.encoder.vae_loss import kl_per_value, reconstruction_terms, vae_loss
from latentfields.training.schedules import cosine_decay, set_learning_rates, with_peaks
from latentfields.training.state import Parts

_BETAS = (0.5, 0.9)
_POSTERIOR_NOISE = 1
_PHOTOS = 2


class EncoderTrainer:
    """Fine-tunes an autoencoder; a `Trainable` for `training.loop.train`."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        pairs: PairImages,
        config: EncoderTrainingConfig,
        *,
        photos: TrainingImages | None = None,
    ) -> None:
        """`autoencoder`, with statistics and on the device to compute on, is changed in place; a copy is the original.

        `photos` have the size of the pairs' windows. Raises InputError when LPIPS is asked for and cannot be had.
        """
        self.autoencoder, self.pairs, self.config = autoencoder, pairs, config
        self.photos, self.device = photos, autoencoder.device
        self.original = autoencoder.clone().requires_grad_(False)
        self.perceptual = perceptual_loss(config.perceptual, self.device)
        self.half = uses_bfloat16(config.precision, self.device)
        self.optimizer = _adam(autoencoder, config)
        self.average: AveragedModel | None = None
        if config.average_decay:
            ema = get_ema_multi_avg_fn(config.average_decay)
            self.average = AveragedModel(autoencoder, multi_avg_fn=ema)
        self.adversary = (
            None
            if config.discriminator is None
            else Adversary(
                config.discriminator,
                learning_rate=config.learning_rate,
                betas=_BETAS,
                seed=config.seed,
                device=self.device,
            )
        )

    @property
    def result(self) -> Autoencoder:
        """What the training gives: the autoencoder as it is, or its moving average."""
        return self.autoencoder if self.average is None else cast(Autoencoder, self.average.module)

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch."""
        config = self.config
        batch = self._batch(index).to(self.device)
        decay = cosine_decay(progress, final=config.final_learning_rate)
        set_learning_rates(self.optimizer, decay)
        self.optimizer.zero_grad()
        loss, terms, decoded = self.loss(batch, index)
        loss.backward()
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.autoencoder)
        if self.adversary is not None and self.adversary.plays(index):
            terms["discriminator"] = self.adversary.step(batch.images, decoded.detach(), decay)
        return read(terms | {"loss": loss})

    def _batch(self, index: int) -> PairBatch:
        """Batch `index`: image pairs and, after them among its images, photographs."""
        config = self.config
        batch = self.pairs.batch(
            index, pairs=config.pairs_per_batch, points=config.points_per_pair, seed=config.seed
        )
        if self.photos is None or not config.photos_per_batch:
            return batch
        generator = seeded_generator(config.seed, index, _PHOTOS)
        photos = self.photos.batch(photos=config.photos_per_batch, renders=0, generator=generator)
        if config.window is not None and config.window < config.size:
            photos = torch.stack([_cut(photo, config.window, generator) for photo in photos])
        return replace(batch, images=torch.cat([batch.images, photos]))

    def _posterior(self, autoencoder: Autoencoder, images: Tensor) -> tuple[Tensor, Tensor | None]:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            mean, log_variance = autoencoder.posterior(images)
        return mean.float(), None if log_variance is None else log_variance.float()

    def _decoded(self, latents: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.half):
            return self.autoencoder.decode(latents).float()

    def loss(self, batch: PairBatch, index: int) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """L_StageI of a batch in step `index`, its terms before they are weighted, and the decoded images.

        The batch may have more images (2 B + P, 3, H, W) than those of its pairs.
        """
        config, autoencoder = self.config, self.autoencoder
        mean, log_variance = self._posterior(autoencoder, batch.images)
        decoded = self._decoded(self._sampled(mean, log_variance, index))
        reconstruction, perceptual = reconstruction_terms(
            decoded, batch.images, perceptual=self.perceptual, kind=config.reconstruction
        )
        terms = {"reconstruction": reconstruction, "perceptual": perceptual}
        kl = adversarial = torch.zeros((), device=self.device)
        with torch.no_grad():
            original = self._posterior(self.original, batch.images)
        if log_variance is None or original[1] is None:
            terms["original"] = distance_to_original(mean, original[0])
        else:
            # The prior of L_VAE is about latents that are not normalised.
            raw = autoencoder.raw_posterior(mean, log_variance)
            terms["kl"] = kl = kl_per_value(*raw, batch.images)
            divergence = kl_to_original(mean, log_variance, (original[0], original[1])).mean()
            terms["original"] = divergence / batch.images[0].numel()
        if self.adversary is not None and self.adversary.plays(index):
            without = reconstruction + config.weights.perceptual * perceptual
            terms["adversarial"] = adversarial = self.adversary.generator_term(without, decoded)
        terms["correspondence"] = self._correspondence(mean, batch)
        vae = vae_loss(reconstruction, perceptual, kl, adversarial, config.weights)
        loss = stage_one_loss(
            vae,
            terms["correspondence"],
            terms["original"],
            config.weights,
            variational=log_variance is not None,
        )
        if config.weights.exchange:
            terms["exchange"] = self._exchange(mean, batch)
            loss = loss + config.weights.exchange * terms["exchange"]
        return loss, terms, decoded

    def _exchange(self, latents: Tensor, batch: PairBatch) -> Tensor:
        """Reconstruction error of the pairs' first images, decoded from latents (2 B, C, h, w) that are those of the
        second images where both show the same point."""
        count, factor = len(batch.positions), self.autoencoder.factor
        _, values = matched_latents(latents[: 2 * count], batch.positions, factor=factor)
        mixed = exchanged_latents(
            latents[:count], values, batch.positions[:, :, 0], batch.shared, factor=factor
        )
        return reconstruction_loss(
            self._decoded(mixed), batch.images[:count], kind=self.config.reconstruction
        )

    def _sampled(self, mean: Tensor, log_variance: Tensor | None, index: int) -> Tensor:
        """A draw from the posterior, the same for the same seed and step; `latent_noise` where there is no variance."""
        generator = seeded_generator(self.config.seed, index, _POSTERIOR_NOISE)
        if log_variance is None:
            return with_latent_noise(mean, strongest=self.config.latent_noise, generator=generator)
        return sampled(mean, log_variance, generator=generator)

    def _correspondence(self, latents: Tensor, batch: PairBatch) -> Tensor:
        """L_corres (Eq. 6) of the posterior means (2 B, C, h, w) of the pairs, which radiance fields are fitted to."""
        own = latents[: 2 * len(batch.positions)]
        first, second = matched_latents(own, batch.positions, factor=self.autoencoder.factor)
        weights = pair_weights(batch.pose_errors, weighting=self.config.weighting)
        term = relative_correspondence_loss if self.config.unit == "pair" else correspondence_loss
        return term(first, second, batch.shared, weights)

    def _parts(self) -> Parts:
        modules: dict[str, nn.Module] = {"autoencoder": self.autoencoder}
        if self.average is not None:
            modules["average"] = self.average
        optimizers = {"adam": self.optimizer}
        if self.adversary is not None:
            modules["adversary.network"] = self.adversary.network
            optimizers["adversary.adam"] = self.adversary.optimizer
        return Parts(modules=modules, optimizers=optimizers)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and optimisers."""
        tensors, groups = self._parts().pack()
        return tensors, {name.removesuffix(".adam"): group for name, group in groups.items()}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        parts = self._parts()
        parts.unpack(tensors, {name: metadata[name.removesuffix(".adam")] for name in parts.optimizers})


def _cut(image: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A random square (3, side, side) of an image (3, S, S)."""
    top, left = (random_integer(length - side + 1, generator) for length in image.shape[1:])
    return image[:, top : top + side, left : left + side]


def _adam(module: nn.Module, config: EncoderTrainingConfig) -> torch.optim.Optimizer:
    return with_peaks(torch.optim.Adam(module.parameters(), lr=config.learning_rate, betas=_BETAS))
