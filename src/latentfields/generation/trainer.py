"""`SceneDistillation`: a scene learns what a prior believes that its views show.

Shape suffixes: B views, C latent channels, h, w latent size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.devices import read, upload
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.optimizers import field_optimizer, rebuilt_optimizer, schedule_factor
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.priors.distillation import surrogate
from latentfields.priors.guidance import Pull, ViewedFrom
from latentfields.priors.prior import Rig
from latentfields.rendering.rendering import Rendering
from latentfields.training.checkpoint import with_prefix, without_prefix
from latentfields.training.schedules import set_learning_rates
from latentfields.training.state import Parts

OPAQUE = 0.5
"""Opacity above which a surface is seen."""


@dataclass(frozen=True, eq=False)
class Anchor:
    """A view that is known: the scene is fitted to it as to a photograph."""

    direction: Tensor
    """(3,) unit vector towards its camera."""
    latents: Tensor
    """(C, h, w) of it, normalised per channel."""
    weight: float
    """Of its squared error beside that of a view that the prior judges."""


class SceneDistillation:
    """Distils a prior into one scene; a `Trainable` for `training.loop.train`.

    Every step renders a few views from random directions and moves them as `pull` says, through the field's own
    optimiser and schedule, with its regularisers unless a scene is edited. Random numbers are drawn on the CPU,
    whatever device the model is on.
    """

    def __init__(
        self,
        model: SceneModel,
        pull: Pull,
        rig: Rig,
        config: FitConfig,
        views: SceneCameras,
        *,
        name: str,
        anchor: Anchor | None = None,
        backgrounds: Tensor | None = None,
        source: SceneModel | None = None,
        box: Tensor | None = None,
    ) -> None:
        """`model` is on the device to compute on, as is `source`, the scene before an edit, if it is one.

        `views`, whose cameras have the size of all, are to look at the scene with. Of `backgrounds` (K, C), in the
        field's space, each view gets one at random; None: the scene's own. Of an edit, `box` (2, 3) holds the
        corners of the part of [-1, 1]^3 that may change; None: all.
        """
        self.model, self.pull, self.rig, self.config = model, pull, rig, config
        self.views, self.name, self.anchor, self.backgrounds = views, name, anchor, backgrounds
        self.source, self.box = source, box
        self.observe: Callable[[int], None] = lambda step: None
        """Called after every step with the number of steps done; it draws nothing from the generator."""
        self.generator = torch.Generator().manual_seed(config.seed)
        self.optimizer = field_optimizer(model, config, config.supervision)
        self._size = views.cameras.width

    @property
    def total_steps(self) -> int:
        """Optimiser steps."""
        return self.config.supervision.steps

    def step(self, index: int, progress: float) -> dict[str, float]:
        """One optimiser step. Of an edit, one that asks for no change makes none."""
        values = self._step(index, progress)
        self.observe(index + 1)
        return values

    def _step(self, index: int, progress: float) -> dict[str, float]:
        editing = self.source is not None
        self._prepare(1.0 if editing else progress, progress)
        if not editing:
            self.model.before_step(step=index, generator=self.generator)
        self.optimizer.zero_grad()
        directions = self._directions()
        cameras = self.rig.cameras(directions, size=self._size)
        # Without jitter an unchanged scene renders what the scene before the edit does, bit for bit.
        seen = self.model.render_features(cameras, generator=None if editing else self.generator)
        latents = self.model.space.latents(self._over_backgrounds(seen))
        gradient = self._gradient(latents.detach(), directions, cameras, progress)
        values = read({"loss": gradient.square().mean(), "opacity": seen.opacity.mean()})
        if editing and values["loss"] == 0:
            return values
        # In the units of Eq. 2, a mean of squares, to which learning rates and regularisers are made.
        loss = surrogate(latents, gradient) * (2 / latents.numel())
        (loss if editing else loss + self._own_losses(seen)).backward()
        self.optimizer.step()
        done = 1.0 if editing else progress
        self.model.after_step(seen, self.optimizer, progress=done, generator=self.generator)
        if editing:
            self.model.before_step(step=index, generator=self.generator)
        return values

    def _prepare(self, fitted: float, progress: float) -> None:
        """Let fields and learning rates follow the progress; a field that is edited was `fitted` already."""
        replaced = [part.advance(fitted) for part in self.model.representations().values()]
        if any(replaced):
            self.optimizer = rebuilt_optimizer(
                self.model, self.config, self.config.supervision, self.optimizer
            )
        factor = schedule_factor(self.config.field.optimizer, progress=progress, steps=self.total_steps)
        set_learning_rates(self.optimizer, factor, progress=progress)

    def _directions(self) -> Tensor:
        """(B, 3) towards the cameras of a step; the anchor's, if there is one, comes last."""
        drawn = self.rig.random_directions(self.config.batch_images, self.generator)
        return drawn if self.anchor is None else torch.cat([drawn, self.anchor.direction[None]])

    def _over_backgrounds(self, seen: Rendering) -> Tensor:
        """(B, C, h, w) features, each view over a background of its own."""
        if self.backgrounds is None:
            return seen.features
        chosen = torch.randint(len(self.backgrounds), (len(seen.features),), generator=self.generator)
        other = (
            self.backgrounds.to(seen.features.device)[chosen.to(seen.features.device)] - self.model.background
        )
        mixed: Tensor = seen.features + (1 - seen.opacity) * other[:, :, None, None]
        return mixed

    def _gradient(self, latents: Tensor, directions: Tensor, cameras: Cameras, progress: float) -> Tensor:
        """(B, C, h, w) for rendered latents."""
        count = len(latents) - (self.anchor is not None)
        source = None if self.source is None else self._rendered_source(cameras[:count])
        before = None if source is None else self.source_latents(source)
        gradient = self.pull(
            latents[:count],
            ViewedFrom(directions[:count], before),
            progress=progress,
            generator=self.generator,
        )
        if self.box is not None and source is not None and before is not None:
            # Elsewhere the scene is held: what is inside shares its networks.
            held = latents[:count] - before
            gradient = torch.where(self._inside(cameras[:count], source), gradient, held)
        if self.anchor is None:
            return gradient
        known = upload(self.anchor.latents, latents.device)
        return torch.cat([gradient, self.anchor.weight * (latents[count:] - known)])

    @torch.no_grad()
    def _rendered_source(self, cameras: Cameras) -> Rendering:
        assert self.source is not None
        return self.source.render_features(cameras)

    def source_latents(self, seen: Rendering) -> Tensor:
        """(B, C, h, w) of what the scene before the edit renders."""
        assert self.source is not None
        return self.source.space.latents(seen.features)

    def _inside(self, cameras: Cameras, source: Rendering) -> Tensor:
        """(B, 1, h, w) bool, true where the surface that was seen before the edit lies in the box."""
        assert self.box is not None
        height, width = source.depth.shape[-2:]
        rays = cameras.resized(width=width, height=height).to(source.depth.device).rays()
        points = rays.origins + rays.directions * source.depth[:, 0, :, :, None]
        low, high = upload(self.box, points.device)
        within = ((points >= low) & (points <= high)).all(dim=-1)
        seen: Tensor = within & (source.opacity[:, 0] > OPAQUE)
        return seen[:, None]

    def _own_losses(self, seen: Rendering) -> Tensor:
        """The losses that fields and sampler have of their own."""
        terms = [part.regularisation() for part in self.model.representations().values()]
        if seen.loss is not None:
            terms.append(seen.loss.mean())
        return torch.stack(terms).sum()

    def _parts(self) -> Parts:
        return Parts(optimizers={"field": self.optimizer}, generators={"generator": self.generator})

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Scene, optimiser and random generator."""
        tensors, groups = self._parts().pack()
        return tensors | with_prefix("scene", self.model.scene_state()), {"groups": groups}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.model.load_scene_state(without_prefix("scene", tensors))
        # Fields may have replaced parameters.
        self.optimizer = field_optimizer(self.model, self.config, self.config.supervision)
        self._parts().unpack(tensors, metadata["groups"])


def generated_views(rig: Rig, *, size: int) -> SceneCameras:
    """Cameras to look at a generated scene with: 48 all around ("train"), and 8 of a turn ("test")."""
    around = rig.random_directions(48, torch.Generator().manual_seed(0))
    turn = turn_directions(rig, 8)
    names = [*(f"view_{i:04d}" for i in range(48)), *(f"turn_{i:04d}" for i in range(8))]
    return SceneCameras(
        cameras=rig.cameras(torch.cat([around, turn]), size=size),
        splits={"train": torch.arange(48), "val": torch.arange(0), "test": torch.arange(48, 56)},
        names=tuple(names),
    )


def turn_directions(rig: Rig, count: int, *, elevation: float = 20.0) -> Tensor:
    """(count, 3) unit vectors all around, at an elevation in degrees or the nearest one where the rig has cameras."""
    up = math.radians(min(max(elevation, rig.lowest), rig.highest))
    around = torch.arange(count) * (2 * math.pi / count)
    return torch.stack(
        [math.cos(up) * around.cos(), math.cos(up) * around.sin(), torch.full((count,), math.sin(up))], dim=1
    )
