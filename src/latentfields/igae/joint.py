"""Second phase: autoencoder and latent scenes are trained together (IG-AE Sec. 4.2 to 4.4, Eq. 12).

Latents stay normalised with the statistics that the autoencoder had at the start, and are measured again at the end:
Eq. 12 does not hold their scale, and only against a fixed reference does a loss of contrast show (`view_latent_spread`
in the log). Noise of a fixed strength on the latents that L_ae decodes prevents it; docs/concepts/igae.md says why.

Shape suffixes: B scene views in this process's batch, P its photographs, C latent channels, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.losses import PerceptualLoss
from latentfields.correspondences.pair_batches import PairImages
from latentfields.correspondences.pose_error import pair_weights
from latentfields.devices import read
from latentfields.igae.batches import (
    BatchPlan,
    BatchSchedule,
    Windows,
    batch_draws,
    batch_noise,
    photo_crops,
)
from latentfields.igae.config import IgaeConfig
from latentfields.igae.image_cache import Photos
from latentfields.igae.objective import (
    TERM_SYNTHETIC,
    TERMS_3D,
    TERMS_REAL,
    Pictures,
    SceneRenderings,
    loss_terms,
    total_loss,
)
from latentfields.igae.pretrain import EVALUATE_EVERY, Observer
from latentfields.igae.scene_training import SceneTraining, planes_total_variation
from latentfields.igae.scenes import ActiveScene
from latentfields.training.distributed import Processes
from latentfields.training.prefetch import Prefetcher
from latentfields.training.schedules import set_learning_rates, with_peaks
from latentfields.training.state import Parts

POINTS_PER_PAIR = 512
"""At most so many correspondences of each pair of views."""


@dataclass(frozen=True)
class JointBatch:
    """One process's share of one step's batch."""

    whole: BatchPlan
    """The global batch."""
    mine: BatchPlan
    """This process's part of it."""
    pictures: Pictures
    """What the autoencoder sees of it, on the CPU."""
    corners: tuple[Tensor, ...]
    """For every scene of this part, the corners (V, 2), (left, top) in pixels, of the windows of its views."""

    @property
    def scene_share(self) -> float:
        """This process's share of the scenes: its means count that much in means over the global batch."""
        return len(self.mine.scenes) / len(self.whole.scenes)

    @property
    def photo_share(self) -> float:
        """This process's share of the photographs."""
        return len(self.mine.photo_seeds) / max(1, len(self.whole.photo_seeds))

    @property
    def pairs(self) -> int:
        """Pairs of views with correspondences in this process's part."""
        return 0 if self.pictures.pair_weights is None else len(self.pictures.pair_weights)

    def parts(self, count: int) -> tuple[tuple[slice, JointBatch], ...]:
        """`count` parts of this share, which add up to it, each with the scenes that are in it; empty ones are left
        out."""
        if count == 1:
            return ((slice(len(self.mine.scenes)), self),)
        found = []
        for number in range(count):
            scenes, photos, pairs = (
                Processes(number, count).share(items)
                for items in (len(self.mine.scenes), len(self.mine.photo_seeds), self.pairs)
            )
            mine = self.mine.part(scenes, photos)
            if mine.scenes or mine.photo_seeds or pairs.stop > pairs.start:
                start = sum(map(len, self.mine.views[: scenes.start]))
                views = slice(start, start + sum(map(len, mine.views)))
                pictures = self.pictures.part(views, photos, pairs)
                part = replace(self, mine=mine, pictures=pictures, corners=self.corners[scenes])
                found.append((scenes, part))
        return tuple(found)


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
        pairs: PairImages | None = None,
    ) -> None:
        """`photos` may be None without preservation, `pairs` without weights of correspondences."""
        assert photos is not None or not config.has_preservation
        assert pairs is not None or not config.has_correspondences
        self.pairs = pairs
        self.autoencoder, self.training, self.photos, self.config = autoencoder, training, photos, config
        self.perceptual, self.processes, self.observer = perceptual, processes, observer
        options = config.joint
        self.schedule = BatchSchedule(
            views=training.views.train,
            scenes_per_batch=options.scenes_per_batch,
            views_per_scene=options.views_per_scene,
            photos_per_batch=options.photos_per_batch if config.has_preservation else 0,
            # Odd here, even in the first phase: other batches, whatever the seed.
            seed=2 * config.seed + 1,
            held_out=training.views.validation,
            held_out_per_scene=options.held_out_views,
        )
        self.windows = Windows(
            size=config.size,
            side=config.window,
            factor=autoencoder.factor,
            offsets=options.window_offsets,
        )
        self.batches = Prefetcher(self._load)
        # One optimiser, two groups: encoder and decoder have learning rates of their own, and clipped norms.
        groups = [
            {"params": list(autoencoder.encoder_parameters()), "lr": options.encoder_learning_rate},
            {"params": list(autoencoder.decoder_parameters()), "lr": options.decoder_learning_rate},
        ]
        self.optimizer = with_peaks(torch.optim.Adam(groups, fused=True))
        modules: dict[str, torch.nn.Module] = {"autoencoder": autoencoder}
        self.average: AveragedModel | None = None
        if options.average_decay:
            ema = get_ema_multi_avg_fn(options.average_decay)
            modules["average"] = self.average = AveragedModel(autoencoder, multi_avg_fn=ema)
        self._parts = Parts(modules=modules, optimizers={"autoencoder_optimizer": self.optimizer})

    @property
    def result(self) -> Autoencoder:
        """What the training gives: the autoencoder as it is, or its moving average."""
        return self.autoencoder if self.average is None else cast(Autoencoder, self.average.module)

    @property
    def total_steps(self) -> int:
        """Steps of this phase."""
        return self.schedule.steps(self.config.joint.epochs)

    def _load(self, step: int) -> JointBatch:
        whole = self.schedule.plan(step)
        mine = whole.part(
            self.processes.share(len(whole.scenes)), self.processes.share(len(whole.photo_seeds))
        )
        options, factor, window = self.config.joint, self.autoencoder.factor, self.config.window
        nothing = torch.empty(0, 3, window, window)
        corners = self.windows.drawn([*map(len, mine.views)], mine.scene_seeds)
        return JointBatch(
            whole=whole,
            mine=mine,
            corners=corners,
            pictures=Pictures(
                images=self._views(mine, corners) if mine.views else nothing,
                photos=nothing if self.photos is None else self._photographs(self.photos, mine),
                noise=self._noise(mine),
                transform=self.schedule.transform(
                    step,
                    kind=options.equivariance,
                    share=options.equivariance_share,
                    factor=factor,
                    side=window // factor,
                ),
                draws=self._draws(mine),
                **self._pairs(step),
            ),
        )

    def _pairs(self, step: int) -> dict[str, Any]:
        """This process's pairs of the global batch, and their weights."""
        if self.pairs is None:
            return {}
        count = self.config.joint.pairs_per_batch
        batch = self.pairs.batch(step, pairs=count, points=POINTS_PER_PAIR, seed=self.config.seed)
        mine = self.processes.share(count)
        weights = pair_weights(batch.pose_errors, weighting="wide")
        return {"pairs": batch.part(mine), "pair_weights": weights[mine]}

    def _views(self, mine: BatchPlan, corners: Sequence[Tensor]) -> Tensor:
        return self.windows.cut(self.training.views.images(torch.cat(mine.views)), torch.cat([*corners]))

    def _photographs(self, photos: Photos, mine: BatchPlan) -> Tensor:
        seeds = mine.photo_seeds
        crops = photo_crops(photos.train, seeds, crops=self.config.joint.photo_crops)
        if self.windows.side == self.windows.size or not seeds:
            return crops[:, :, : self.windows.side, : self.windows.side]
        return self.windows.cut(crops, torch.cat(self.windows.drawn([1] * len(seeds), seeds)))

    def _noise(self, mine: BatchPlan) -> Tensor | None:
        strongest = self.config.joint.latent_noise
        if not strongest or not self.config.has_preservation:
            return None
        return batch_noise(mine, strongest=strongest, shape=self._latent_shape)

    def _draws(self, mine: BatchPlan) -> Tensor | None:
        sampled = self.config.joint.latents == "sample"
        return batch_draws(mine, shape=self._latent_shape) if sampled else None

    @property
    def _latent_shape(self) -> tuple[int, int, int]:
        side = self.config.window // self.autoencoder.factor
        return self.autoencoder.channels, side, side

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch: every term's gradient, then every optimiser."""
        batch, waited = self.batches.get(index)
        options = self.config.joint
        # Exponential decay, as in Table 15, over the whole phase.
        decay = options.final_learning_rate**progress
        self.optimizer.zero_grad()
        active = self.training.scenes.fetch(batch.mine.scenes)
        values: dict[str, float] = {}
        for scenes, part in batch.parts(options.accumulation):
            loss, terms = self.loss(part, active[scenes])
            if loss.requires_grad:  # A process may have nothing to do in a small batch.
                loss.backward()
            values = {name: values.get(name, 0.0) + term for name, term in terms.items()}
        # Means over a part, weighted by its share, add up to means over the batch: gradients are summed, not averaged.
        self.processes.sum_gradients(p for group in self.optimizer.param_groups for p in group["params"])
        for group in self.optimizer.param_groups:
            # Each group by itself: a rough step of the decoder does not slow the encoder down.
            if options.largest_gradient is not None:
                torch.nn.utils.clip_grad_norm_(group["params"], options.largest_gradient)
        set_learning_rates(self.optimizer, decay)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.autoencoder)
        # After the autoencoder's step, but with gradients from before it: everything moves at once, as in Eq. 12.
        if self.config.moves_scenes:
            self.training.update(active, batch.whole.scenes, decay=decay, processes=self.processes)
        values = self.processes.sum_values(values) | {"data_wait_seconds": waited}
        if self.observer is not None and (index + 1) % EVALUATE_EVERY == 0:
            values |= self.observer(index + 1)
        return values

    def loss(self, batch: JointBatch, active: Sequence[ActiveScene]) -> tuple[Tensor, dict[str, float]]:
        """This process's part of L_IG-AE (Eq. 12), and of every term by name.

        Summed over processes they are the loss and the terms of the global batch.
        """
        device = self.training.device
        renderings = self._renderings(batch, active) if self.config.has_3d and active else None
        terms = loss_terms(
            self.autoencoder,
            batch.pictures.to(device),
            renderings,
            config=self.config,
            perceptual=self.perceptual,
        )
        zero = torch.zeros((), device=device)
        parts = {name: share * terms.get(name, zero) for name, share in self._shares(batch).items()}
        logged = parts | total_loss(parts, self.config)
        return logged["loss"], read(logged)

    def _renderings(self, batch: JointBatch, active: Sequence[ActiveScene]) -> SceneRenderings:
        moves = self.config.moves_scenes
        # Scenes at rest are rendered as constants: nothing of L_3D has a gradient for them.
        with torch.set_grad_enabled(moves):
            seen = self.training.render(
                active, batch.mine, update_grids=moves, corners=batch.corners, side=self.windows.side
            )
            return SceneRenderings(seen, planes_total_variation(active, self.config.tv))

    def _shares(self, batch: JointBatch) -> dict[str, float]:
        """For every term, how much this process's mean counts in the mean over the global batch."""
        names = TERMS_3D if self.config.has_3d else ()
        shares = dict.fromkeys(names, batch.scene_share)
        if "tv_planes" in shares and self.config.tv == "paper":
            shares["tv_planes"] = 1.0  # A sum over scenes already.
        if self.config.has_preservation:
            shares[TERM_SYNTHETIC] = batch.scene_share
            shares |= dict.fromkeys(TERMS_REAL, batch.photo_share)
        weights = self.config.joint.weights
        if weights.correspondence:
            shares["correspondence"] = 1.0  # A sum over pairs.
        if weights.exchange:
            shares["exchange"] = batch.pairs / self.config.joint.pairs_per_batch
        return shares

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Autoencoder, scenes and all optimisers."""
        tensors, groups = self._parts.pack()
        scenes, metadata = self.training.state()
        return scenes | tensors, {"scenes": metadata, "groups": groups["autoencoder_optimizer"]}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.training.restore(tensors, metadata["scenes"])
        self._parts.unpack(tensors, {"autoencoder_optimizer": metadata["groups"]})
