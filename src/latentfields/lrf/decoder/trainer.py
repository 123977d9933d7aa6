"""Fine-tuning of a decoder on latent-image pairs (LRF Eq. 11). The encoder and the latents' statistics stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import TrainingImages
from latentfields.autoencoders.losses import perceptual_loss, with_latent_noise
from latentfields.devices import read, upload
from latentfields.lrf.decoder.config import DecoderTrainingConfig
from latentfields.lrf.decoder.losses import alignment_loss, preservation_loss, view_loss
from latentfields.lrf.decoder.pairs import PairBatch, Pairs
from latentfields.lrf.encoder.discriminator import Adversary
from latentfields.training.schedules import cosine_decay, set_learning_rates, with_peaks
from latentfields.training.state import Parts


class DecoderAlignment:
    """Trains the decoder of one autoencoder for the pairs of all scenes; a `Trainable` for `training.loop.train`.

    Random numbers are drawn on the CPU, whatever device the autoencoder is on.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        pairs: Pairs,
        options: DecoderTrainingConfig,
        *,
        photos: TrainingImages | None = None,
    ) -> None:
        """`autoencoder` is the original, on the device to compute on; its decoder is changed in place.

        `photos` have the size of the pairs' crops.
        """
        self.autoencoder, self.pairs, self.options, self.photos = autoencoder, pairs, options, photos
        self.device = autoencoder.device
        self.original = autoencoder.clone().requires_grad_(False)
        self.generator = torch.Generator().manual_seed(options.seed)
        parameters = list(autoencoder.decoder_parameters())
        betas = (options.beta1, options.beta2)
        self.optimizer = with_peaks(
            torch.optim.Adam(parameters, lr=options.learning_rate, betas=betas, fused=True)
        )
        self.perceptual = perceptual_loss(options.perceptual, self.device)
        modules: dict[str, nn.Module] = {"decoder": autoencoder.codec.decoder_module()}
        optimizers = {"optimizer": self.optimizer}
        self.adversary: Adversary | None = None
        if options.discriminator is not None:
            self.adversary = Adversary(
                options.discriminator,
                learning_rate=options.learning_rate,
                betas=betas,
                seed=options.seed,
                device=self.device,
            )
            modules["adversary"] = self.adversary.network
            optimizers["adversary_optimizer"] = self.adversary.optimizer
        self._parts = Parts(modules=modules, optimizers=optimizers, generators={"generator": self.generator})

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch."""
        options = self.options
        decay = cosine_decay(progress, final=options.final_learning_rate)
        set_learning_rates(self.optimizer, decay)
        batch = self.pairs.batch(
            training=options.training_views, novel=options.novel_views, generator=self.generator
        )
        batch = self._with_photos(batch.to(self.device))
        terms, views = self._terms(batch, index)
        self.optimizer.zero_grad()
        terms["loss"].backward()
        self.optimizer.step()
        if self.adversary is not None and self.adversary.plays(index):
            terms["discriminator"] = self.adversary.step(batch.images, views.detach(), decay)
        return read(terms)

    def _with_photos(self, batch: PairBatch) -> PairBatch:
        """The batch with random photographs after the encoded latents of its views."""
        count = self.options.photos_per_batch
        if self.photos is None or not count or not self.options.preservation_weight:
            return batch
        photos = self.photos.batch(photos=count, renders=0, generator=self.generator)
        latents = self.autoencoder.encode_batches(upload(photos, self.device))
        return replace(batch, encoded=torch.cat([batch.encoded, latents]))

    def _terms(self, batch: PairBatch, index: int) -> tuple[dict[str, Tensor], Tensor]:
        """Unweighted losses by name, and their weighted sum as "loss"; and the decoded views (B, 3, H, W)."""
        options, count = self.options, len(batch.images)
        preserving = options.preservation_weight > 0
        latents = batch.rendered
        if preserving:
            noisy = with_latent_noise(batch.encoded, strongest=options.latent_noise, generator=self.generator)
            latents = torch.cat([latents, noisy])
        decoded = self.autoencoder.decode(latents)
        views = decoded[:count]
        seen = slice(options.training_views)
        unseen = slice(options.training_views, count)
        terms = {
            "training": view_loss(views[seen], batch.images[seen]),
            "novel": view_loss(views[unseen], batch.images[unseen]),
        }
        loss = alignment_loss(terms["training"], terms["novel"], options)
        if options.perceptual_weight > 0:
            terms["perceptual"] = self.perceptual(views, batch.images).mean()
            loss = loss + options.perceptual_weight * terms["perceptual"]
        if self.adversary is not None and self.adversary.plays(index):
            terms["adversarial"] = self.adversary.generator_term(loss, views)
            loss = loss + terms["adversarial"]
        if preserving:
            with torch.no_grad():
                original = self.original.decode(batch.encoded)
            terms["preservation"] = preservation_loss(decoded[count:], original)
            loss = loss + options.preservation_weight * terms["preservation"]
        return {"loss": loss} | terms, views

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Decoder, optimiser and random generator."""
        tensors, groups = self._parts.pack()
        return tensors, {"groups": groups.pop("optimizer"), **groups}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        optimizers = {name: metadata[name] for name in self._parts.optimizers if name != "optimizer"}
        self._parts.unpack(tensors, {"optimizer": metadata["groups"], **optimizers})
