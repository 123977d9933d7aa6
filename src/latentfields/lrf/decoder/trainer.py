"""Fine-tuning of a decoder on latent-image pairs (LRF Eq. 11). The encoder and the latents' statistics stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import TrainingImages
from latentfields.devices import read, upload
from latentfields.lrf.decoder.config import DecoderTrainingConfig
from latentfields.lrf.decoder.losses import alignment_loss, preservation_loss, view_loss
from latentfields.lrf.decoder.pairs import PairBatch, Pairs
from latentfields.measures.perceptual import gradient_similarity_loss
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
        self.optimizer = with_peaks(torch.optim.Adam(parameters, lr=options.learning_rate, fused=True))
        self._parts = Parts(
            modules={"decoder": autoencoder.codec.decoder_module()},
            optimizers={"optimizer": self.optimizer},
            generators={"generator": self.generator},
        )

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch."""
        options = self.options
        set_learning_rates(self.optimizer, cosine_decay(progress, final=options.final_learning_rate))
        batch = self.pairs.batch(
            training=options.training_views, novel=options.novel_views, generator=self.generator
        )
        terms = self._terms(self._with_photos(batch.to(self.device)))
        self.optimizer.zero_grad()
        terms["loss"].backward()
        self.optimizer.step()
        return read(terms)

    def _with_photos(self, batch: PairBatch) -> PairBatch:
        """The batch with random photographs after the encoded latents of its views."""
        count = self.options.photos_per_batch
        if self.photos is None or not count or not self.options.preservation_weight:
            return batch
        photos = self.photos.batch(photos=count, renders=0, generator=self.generator)
        latents = self.autoencoder.encode_batches(upload(photos, self.device))
        return replace(batch, encoded=torch.cat([batch.encoded, latents]))

    def _terms(self, batch: PairBatch) -> dict[str, Tensor]:
        """Unweighted losses by name, and their weighted sum as "loss"."""
        options, count = self.options, len(batch.images)
        preserving = options.preservation_weight > 0
        decoded = self.autoencoder.decode(
            torch.cat([batch.rendered, batch.encoded]) if preserving else batch.rendered
        )
        seen = slice(options.training_views)
        unseen = slice(options.training_views, count)
        terms = {
            "training": view_loss(decoded[seen], batch.images[seen]),
            "novel": view_loss(decoded[unseen], batch.images[unseen]),
        }
        loss = alignment_loss(terms["training"], terms["novel"], options)
        if preserving:
            with torch.no_grad():
                original = self.original.decode(batch.encoded)
            terms["preservation"] = preservation_loss(decoded[count:], original)
            loss = loss + options.preservation_weight * terms["preservation"]
        if options.perceptual_weight > 0:
            terms["perceptual"] = gradient_similarity_loss(decoded[:count], batch.images).mean()
            loss = loss + options.perceptual_weight * terms["perceptual"]
        return {"loss": loss} | terms

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Decoder, optimiser and random generator."""
        tensors, groups = self._parts.pack()
        return tensors, {"groups": groups["optimizer"]}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self._parts.unpack(tensors, {"optimizer": metadata["groups"]})
