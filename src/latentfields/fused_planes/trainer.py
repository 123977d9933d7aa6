"""The phases of a collection's training, step by step: batches of views of a few objects.

Shape suffixes: S objects and B views of a batch, C latent channels, h, w latent size, H, W image size, R rays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.devices import read, upload, uses_bfloat16
from latentfields.fields.total_variation import total_variation
from latentfields.fields.triplane import TriPlaneFeatures
from latentfields.fused_planes.config import CollectionConfig, PhaseConfig
from latentfields.fused_planes.fusion import fused_planes, macro_planes
from latentfields.fused_planes.shared import SharedModel
from latentfields.fused_planes.store import ActiveObject, ObjectStore
from latentfields.igae.batches import BatchPlan, BatchSchedule
from latentfields.igae.image_cache import CachedViews
from latentfields.igae.losses import latent_loss, rgb_loss, synthetic_autoencoder_loss
from latentfields.igae.scenes import BETAS, EPSILON
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.training.distributed import Processes
from latentfields.training.schedules import set_learning_rates, with_peaks
from latentfields.training.state import Parts, Stateful


@dataclass(frozen=True, eq=False)
class Training:
    """What all phases of a training work on, on the device to compute on."""

    config: CollectionConfig
    views: CachedViews
    shared: SharedModel
    store: ObjectStore
    autoencoder: Autoencoder | None
    """None for collections of colours."""

    @property
    def processes(self) -> Processes:
        """The processes that train together: each takes its share of the objects of a batch."""
        return self.store.processes

    @property
    def device(self) -> torch.device:
        """The device to compute on."""
        return self.shared.background.device

    @property
    def factor(self) -> int:
        """Pixels per latent along one side."""
        return 1 if self.autoencoder is None else self.autoencoder.factor

    def planes(self, objects: Sequence[ActiveObject]) -> list[Tensor]:
        """The fused planes (3, K, K, F) of every object. Differentiable in all that they are made of."""
        macro = macro_planes(
            self.shared.base,
            torch.stack([item.weights for item in objects]),
            torch.stack([item.bias for item in objects]),
        )
        return [fused_planes(item.micro, part) for item, part in zip(objects, macro, strict=True)]

    def field(self, planes: Tensor) -> TriPlaneFeatures:
        """An object as samplers look at it."""
        return TriPlaneFeatures(planes, self.shared.head)

    def shot(self, item: ActiveObject, cameras: Cameras, generator: torch.Generator | None) -> Shot:
        """What cameras on a grid of pixels ask of an object."""
        near, far = self.views.near[item.index], self.views.far[item.index]
        return Shot(cameras.rays().flatten(), self.shared.background, near, far, generator)

    def finer(self, cameras: Cameras) -> Cameras:
        """Image-sized `cameras` on the grid of what is rendered."""
        k = 1 if self.shared.projection is None else self.shared.projection.subpixels
        return cameras.resized(
            width=k * cameras.width // self.factor, height=k * cameras.height // self.factor
        )

    def projected(self, features: Tensor) -> Tensor:
        """Latents (B, C, h, w) of rendered features."""
        out: Tensor = features if self.shared.projection is None else self.shared.projection(features)
        return out

    @torch.no_grad()
    def render_views(self, index: int, views: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of some views of one object, on the CPU, without jitter."""
        (item,) = self.store.fetch([index])
        (planes,) = self.planes([item])
        cameras = self.finer(self.views.cameras[views]).to(self.device)
        seen = item.sampler.render(self.field(planes), self.shot(item, cameras, None)).as_images(cameras)
        latents = self.projected(seen.features)
        if self.autoencoder is None:
            return latents.clamp(0, 1).cpu()
        return self.autoencoder.decode_batches(latents).cpu()


class PhaseTrainer:
    """One phase; a `Trainable` for `training.loop.train`."""

    def __init__(
        self,
        training: Training,
        phase: PhaseConfig,
        *,
        number: int,
        latents: NDArray[np.float16] | None,
    ) -> None:
        """`number` is the phase's, from 1; `latents` are those of all views (`cache_latents`), None for colours."""
        self.training, self.phase, self.latents = training, phase, latents
        training.store.phase = number
        config = training.config
        self.schedule = BatchSchedule(
            views=training.views.train,
            scenes_per_batch=phase.objects_per_batch,
            views_per_scene=phase.views_per_object,
            photos_per_batch=0,
            seed=4 * config.seed + number,
        )
        self._half = training.autoencoder is not None and uses_bfloat16(config.precision, training.device)
        shared, autoencoder = training.shared, training.autoencoder
        groups = {
            "base": ([shared.base], phase.base_learning_rate),
            "renderer": (shared.renderer_parameters(), phase.mlp_learning_rate),
        }
        if autoencoder is not None:
            groups["encoder"] = ([*autoencoder.encoder_parameters()], phase.encoder_learning_rate)
            groups["decoder"] = ([*autoencoder.decoder_parameters()], phase.decoder_learning_rate)
        self._optimizers: dict[str, torch.optim.Optimizer] = {}
        for name, (parameters, rate) in groups.items():
            moves = rate > 0
            for parameter in parameters:
                parameter.requires_grad_(moves)
            if moves:
                # Cells of planes far from surfaces get tiny gradients, and must not stand still.
                own = {"betas": BETAS, "eps": EPSILON} if name in ("base", "renderer") else {}
                self._optimizers[name] = with_peaks(
                    torch.optim.Adam(parameters, lr=rate, fused=True, **own)  # type: ignore[arg-type]
                )
        modules: dict[str, Stateful] = {"objects": training.store, "shared": shared}
        if autoencoder is not None and phase.moves_autoencoder:
            modules["autoencoder"] = autoencoder
        self._parts = Parts(modules=modules, optimizers=self._optimizers)

    @property
    def total_steps(self) -> int:
        """Steps of this phase."""
        return self.schedule.steps(self.phase.epochs)

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One batch."""
        phase, training, processes = self.phase, self.training, self.training.processes
        plan = self.schedule.plan(index)
        mine = plan.part(processes.share(len(plan.scenes)), slice(0, 0))
        for optimizer in self._optimizers.values():
            optimizer.zero_grad()
        objects = training.store.fetch_share(plan.scenes)
        values = dict.fromkeys(("loss", *self._terms), 0.0)
        if objects:
            terms = self._shares(self.terms(objects, mine), mine, plan)
            loss = torch.stack([self._weight(name) * term for name, term in terms.items()]).sum()
            loss.backward()
            values = read({"loss": loss, **terms})
        decay = phase.decay(progress)
        for name, optimizer in self._optimizers.items():
            processes.sum_gradients(optimizer.param_groups[0]["params"])
            if name == "renderer" and progress >= phase.mlp_share:
                continue
            if name in ("encoder", "decoder") and phase.largest_gradient is not None:
                # Each by itself: a rough step of the decoder does not slow the encoder down.
                torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], phase.largest_gradient)
            set_learning_rates(optimizer, decay)
            optimizer.step()
        training.store.update(
            objects,
            plan.scenes,
            rates={
                "micro": phase.micro_learning_rate * decay,
                "coefficients": phase.coefficients_learning_rate * decay,
            },
        )
        return processes.sum_values(values)

    @property
    def _terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss, in their order: those that `terms` returns."""
        if self.training.autoencoder is None:
            return ("rgb", "tv") if self.phase.tv_weight else ("rgb",)
        weighed = ("latent", "rgb", "autoencoder", "tv")
        return tuple(name for name in weighed if self._weight(name))

    def _shares(self, terms: Mapping[str, Tensor], mine: BatchPlan, whole: BatchPlan) -> dict[str, Tensor]:
        """The terms as they count in those of the whole batch, which are means over its views, or its objects."""
        if self.training.processes.count == 1:
            return dict(terms)
        objects = len(mine.scenes) / len(whole.scenes)
        views = sum(map(len, mine.views)) / sum(map(len, whole.views))
        of_objects = ("tv",) if self.training.autoencoder is not None else ("tv", "rgb")
        return {name: (objects if name in of_objects else views) * term for name, term in terms.items()}

    def _weight(self, term: str) -> float:
        if self.training.autoencoder is None and term == "rgb":
            return 1.0
        return float(getattr(self.phase, f"{term}_weight"))

    def terms(self, objects: Sequence[ActiveObject], plan: BatchPlan) -> dict[str, Tensor]:
        """The unweighted terms of the loss by name; those of no weight are left out."""
        planes = self.training.planes(objects)
        variation = torch.stack([total_variation(part) for part in planes]).mean()
        if self.training.autoencoder is None:
            terms = {"rgb": self._color_term(objects, planes, plan)}
        else:
            terms = self._latent_terms(self.training.autoencoder, objects, planes, plan)
        return terms | ({"tv": variation} if self.phase.tv_weight else {})

    def _latent_terms(
        self,
        autoencoder: Autoencoder,
        objects: Sequence[ActiveObject],
        planes: Sequence[Tensor],
        plan: BatchPlan,
    ) -> dict[str, Tensor]:
        training, phase = self.training, self.phase
        views = torch.cat(plan.views)
        rendered = training.projected(self._rendered(objects, planes, plan).features)
        terms: dict[str, Tensor] = {}
        images = encoded = None
        if phase.rgb_weight or phase.autoencoder_weight or phase.encoder_learning_rate:
            images = upload(training.views.images(views), training.device)
        if images is not None and (phase.encoder_learning_rate or phase.autoencoder_weight):
            with self._arithmetic():
                encoded = autoencoder.encode(images).float()
        if phase.latent_weight:
            terms["latent"] = latent_loss(self._cached(views) if encoded is None else encoded, rendered)
        if images is not None and phase.rgb_weight:
            terms["rgb"] = rgb_loss(images, self._decoded(autoencoder, rendered))
        if images is not None and encoded is not None and phase.autoencoder_weight:
            terms["autoencoder"] = synthetic_autoencoder_loss(images, self._decoded(autoencoder, encoded))
        return terms

    def _rendered(
        self, objects: Sequence[ActiveObject], planes: Sequence[Tensor], plan: BatchPlan
    ) -> Rendering:
        """What the batch's views see, object by object, with jitter; density grids are renewed where it is time."""
        training, parts = self.training, []
        for item, fused, views, seed in zip(objects, planes, plan.views, plan.scene_seeds, strict=True):
            field, generator = self._looked_at(item, fused, seed)
            cameras = training.finer(training.views.cameras[views]).to(training.device)
            shot = training.shot(item, cameras, generator)
            parts.append(item.sampler.render(field, shot).as_images(cameras))
        return Rendering.joined(parts)

    def _color_term(
        self, objects: Sequence[ActiveObject], planes: Sequence[Tensor], plan: BatchPlan
    ) -> Tensor:
        """The error of random pixels of the batch's views."""
        training, count, errors = self.training, self.training.config.rays, []
        size = training.config.size
        for item, fused, views, seed in zip(objects, planes, plan.views, plan.scene_seeds, strict=True):
            field, generator = self._looked_at(item, fused, seed)
            view = views[torch.randint(len(views), (count,), generator=generator)]
            pixel = torch.randint(size, (count, 2), generator=generator)
            target = training.views.pixels[view.numpy(), :, pixel[:, 1].numpy(), pixel[:, 0].numpy()]
            colors = upload(torch.from_numpy(target).float() / 255, training.device)
            cameras = training.views.cameras[view].to(training.device)
            rays = cameras.rays_at(upload(pixel + 0.5, training.device))
            near, far = training.views.near[item.index], training.views.far[item.index]
            seen = item.sampler.render(field, Shot(rays, training.shared.background, near, far, generator))
            errors.append((seen.features - colors).square().mean())
        return torch.stack(errors).mean()

    def _looked_at(
        self, item: ActiveObject, planes: Tensor, seed: int
    ) -> tuple[TriPlaneFeatures, torch.Generator]:
        """The object's field, whose density grid was renewed if it is time, and the generator of the batch's jitter."""
        generator, field = torch.Generator().manual_seed(seed), self.training.field(planes)
        item.sampler.update(field, step=item.visits, generator=generator)
        return field, generator

    def _cached(self, views: Tensor) -> Tensor:
        assert self.latents is not None
        return upload(torch.from_numpy(self.latents[views.numpy()]).float(), self.training.device)

    def _decoded(self, autoencoder: Autoencoder, latents: Tensor) -> Tensor:
        with self._arithmetic():
            return autoencoder.decode(latents).float()

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self.training.device.type, dtype=torch.bfloat16, enabled=self._half)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What objects share, and where on disk they are."""
        tensors, groups = self._parts.pack()
        return tensors, {"groups": groups}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self._parts.unpack(tensors, metadata["groups"])
