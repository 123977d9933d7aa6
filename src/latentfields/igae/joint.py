"""Second phase: autoencoder and latent scenes are trained together (IG-AE Sec. 4.2 to 4.4, Eq. 12).

Latents stay normalised with the statistics that the autoencoder had at the start. Normalising by current statistics
instead would let the encoder shrink all of its latents, which makes L_latent small without making anything consistent,
and hide it. With a fixed reference such shrinking is seen (`latent_spread` in the log falls below 1) and opposed:
decoding is scored for rendered and for encoded latents (Eqs. 7, 9, 10), and a smaller scale is another input to the
decoder. What drift remains is taken out at the end, when statistics are measured again.

Shape suffixes: B scene views in this process's batch, P its photographs, C latent channels, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.evaluation.perceptual import Unavailable, gradient_similarity_loss, load_lpips
from latentfields.igae import losses
from latentfields.igae.batches import BatchPlan, BatchSchedule, Prefetcher, photo_crops
from latentfields.igae.config import IgaeConfig, Perceptual
from latentfields.igae.distributed import Processes
from latentfields.igae.image_cache import Photos
from latentfields.igae.pretrain import EVALUATE_EVERY, Observer
from latentfields.igae.scene_training import SceneTraining, current_background, planes_total_variation
from latentfields.igae.scenes import ActiveScene
from latentfields.training.checkpoint import pack_optimizer, unpack_optimizer, with_prefix, without_prefix

SCENE_TERMS_3D = ("latent", "rgb", "tv_planes")
"""Names in the log of the terms of L_3D (Eq. 8)."""
SCENE_TERMS_AE = ("ae_synthetic",)
"""Name of the term of L_ae about scene views (Eq. 9)."""
PHOTO_TERMS_AE = ("ae_real", "perceptual", "tv_latents")
"""Names of the terms of L_ae about photographs (Eq. 10)."""

PerceptualLoss = Callable[[Tensor, Tensor], Tensor]
"""Distances (P,) of two batches of images (P, 3, H, W)."""


@dataclass(frozen=True)
class JointBatch:
    """What one process trains on in one step."""

    whole: BatchPlan
    """The global batch."""
    mine: BatchPlan
    """This process's part of it."""
    images: Tensor
    """(B, 3, H, W) scene views, in [0, 1]."""
    photos: Tensor
    """(P, 3, H, W) photographs, in [0, 1]."""

    @property
    def scene_share(self) -> float:
        """This process's share of the scenes: its means count that much in means over the global batch."""
        return len(self.mine.scenes) / len(self.whole.scenes)

    @property
    def photo_share(self) -> float:
        """This process's share of the photographs."""
        return len(self.mine.photo_seeds) / max(1, len(self.whole.photo_seeds))


def perceptual_loss(kind: Perceptual, device: torch.device) -> PerceptualLoss:
    """L_p of Eq. 10. Raises InputError when LPIPS is asked for and cannot be had."""
    if kind == "gradient-similarity":
        return gradient_similarity_loss
    distance = load_lpips("alex", device=device)
    if isinstance(distance, Unavailable):
        raise InputError(
            "perceptual", f"lpips cannot be used because {distance.reason}; use gradient-similarity instead"
        )
    return distance


class JointTrainer:
    """Trains autoencoder and scenes together; a `Trainable` for `training.loop.train`."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        training: SceneTraining,
        photos: Photos | None,
        config: IgaeConfig,
        *,
        perceptual: PerceptualLoss,
        processes: Processes,
        observer: Observer | None,
    ) -> None:
        """`photos` may be None without preservation."""
        assert photos is not None or not config.has_preservation
        self.autoencoder, self.training, self.photos, self.config = autoencoder, training, photos, config
        self.perceptual, self.processes, self.observer = perceptual, processes, observer
        options = config.joint
        self.schedule = BatchSchedule(
            views=training.views.train,
            scenes_per_batch=options.scenes_per_batch,
            views_per_scene=options.views_per_scene,
            photos_per_batch=options.photos_per_batch if config.has_preservation else 0,
            seed=2 * config.seed + 1,
        )
        self.batches = Prefetcher(self._load)
        self.optimizer = torch.optim.Adam(
            [
                {
                    "params": list(autoencoder.encoder_parameters()),
                    "peak": options.encoder_learning_rate,
                },
                {
                    "params": list(autoencoder.decoder_parameters()),
                    "peak": options.decoder_learning_rate,
                },
            ],
            fused=True,
        )

    @property
    def total_steps(self) -> int:
        """Steps of this phase."""
        return self.schedule.steps(self.config.joint.epochs)

    def _load(self, step: int) -> JointBatch:
        whole = self.schedule.plan(step)
        mine = whole.part(
            self.processes.share(len(whole.scenes)), self.processes.share(len(whole.photo_seeds))
        )
        size = self.config.size
        return JointBatch(
            whole=whole,
            mine=mine,
            images=self.training.views.images(torch.cat(mine.views))
            if mine.views
            else torch.empty(0, 3, size, size),
            photos=torch.empty(0, 3, size, size)
            if self.photos is None
            else photo_crops(self.photos.train, mine.photo_seeds),
        )

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch: every term's gradient, then every optimiser."""
        batch, waited = self.batches.get(index)
        options = self.config.joint
        decay = options.final_learning_rate**progress
        self.optimizer.zero_grad()
        active = self.training.scenes.fetch(batch.mine.scenes, self.training.device)
        loss, values = self.loss(batch, active)
        if loss.requires_grad:  # A process may have nothing to do in a small batch.
            loss.backward()
        self.processes.sum_gradients(p for group in self.optimizer.param_groups for p in group["params"])
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * decay
        self.optimizer.step()
        if self.config.moves_scenes:
            self.training.update(
                active,
                batch.whole.scenes,
                planes_learning_rate=options.planes_learning_rate * decay,
                mlp_learning_rate=options.mlp_learning_rate * decay,
                processes=self.processes,
            )
        values = self.processes.sum_values(values) | {"data_wait_seconds": waited}
        if self.observer is not None and (index + 1) % EVALUATE_EVERY == 0:
            values |= self.observer(index + 1)
        return values

    def loss(self, batch: JointBatch, active: Sequence[ActiveScene]) -> tuple[Tensor, dict[str, float]]:
        """This process's part of L_IG-AE (Eq. 12), and of every term by name.

        Summed over processes they are the loss and the terms of the global batch.
        """
        device, scenes = self.training.device, len(batch.images)
        images, photos = batch.images.to(device), batch.photos.to(device)
        encoded, photo_latents = self.autoencoder.encode(torch.cat([images, photos])).tensor_split([scenes])
        # Scenes at rest are rendered as constants: nothing of L_3D has a gradient for them.
        with torch.set_grad_enabled(self.config.moves_scenes):
            rendered = self._render(batch, active) if self.config.has_3d else encoded[:0]
            variation = planes_total_variation(active) if active else encoded.new_zeros(())
        decoded = self.autoencoder.decode(
            torch.cat([rendered, encoded, photo_latents]) if self.config.has_preservation else rendered
        )
        decoded_renderings, reconstructions, photo_reconstructions = decoded.tensor_split(
            [len(rendered), len(rendered) + scenes]
        )
        terms: dict[str, Tensor] = {}
        if self.config.has_3d and scenes:
            terms["latent"] = losses.latent_loss(encoded, rendered)
            terms["rgb"] = losses.rgb_loss(images, decoded_renderings)
            terms["tv_planes"] = variation
        if self.config.has_preservation and scenes:
            terms["ae_synthetic"] = losses.synthetic_autoencoder_loss(images, reconstructions)
        if self.config.has_preservation and len(photos):
            terms["ae_real"] = losses.photo_reconstruction_loss(photos, photo_reconstructions)
            terms["perceptual"] = self.perceptual(photo_reconstructions, photos).mean()
            terms["tv_latents"] = losses.latent_total_variation(photo_latents)
        return self._total(batch, terms, encoded)

    def _render(self, batch: JointBatch, active: Sequence[ActiveScene]) -> Tensor:
        return self.training.render(
            active,
            batch.mine,
            background=current_background(self.autoencoder),
            update_grids=self.config.moves_scenes,
        )

    def _total(
        self, batch: JointBatch, terms: Mapping[str, Tensor], encoded: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        weights, zero = self.config.joint.weights, encoded.new_zeros(())
        names_3d = SCENE_TERMS_3D if self.config.has_3d else ()
        names_scenes = SCENE_TERMS_AE if self.config.has_preservation else ()
        names_photos = PHOTO_TERMS_AE if self.config.has_preservation else ()
        shares = dict.fromkeys(names_3d + names_scenes, batch.scene_share)
        shares |= dict.fromkeys(names_photos, batch.photo_share)
        part = {name: share * terms.get(name, zero) for name, share in shares.items()}
        logged = dict(part)
        if names_3d:
            logged["3d"] = losses.regularisation_3d(part["latent"], part["rgb"], part["tv_planes"], weights)
        if names_photos:
            real = losses.real_autoencoder_loss(
                part["ae_real"], part["perceptual"], part["tv_latents"], weights
            )
            logged["ae"] = losses.preservation_loss(part["ae_synthetic"], real, weights)
        loss = losses.igae_loss(logged.get("3d", zero), logged.get("ae", zero))
        spread = encoded.detach().std(dim=(0, 2, 3)).mean() if len(encoded) else zero
        logged |= {"loss": loss, "latent_spread": batch.scene_share * spread}
        values = torch.stack([value.detach() for value in logged.values()]).tolist()
        return loss, dict(zip(logged, values, strict=True))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Autoencoder, scenes and all optimisers."""
        tensors, metadata = self.training.state()
        optimizer, groups = pack_optimizer(self.optimizer, "autoencoder_optimizer")
        tensors |= optimizer | with_prefix("autoencoder", self.autoencoder.state_dict())
        return tensors, {"scenes": metadata, "groups": groups}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.training.restore(tensors, metadata["scenes"])
        self.autoencoder.load_state_dict(without_prefix("autoencoder", tensors))
        unpack_optimizer(self.optimizer, "autoencoder_optimizer", tensors, metadata["groups"])
