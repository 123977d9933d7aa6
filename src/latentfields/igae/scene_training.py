"""Rendering and optimising the latent scenes tau: planes, shared MLP and their optimisers. Both phases use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.fields.total_variation import total_variation, total_variation_sum
from latentfields.igae.batches import BatchPlan
from latentfields.igae.config import IgaeConfig, JointConfig, PretrainingConfig, TotalVariation
from latentfields.igae.image_cache import CachedViews
from latentfields.igae.renderer import TriPlaneRenderer
from latentfields.igae.scenes import BETAS, EPSILON, ActiveScene, LatentScenes
from latentfields.igae.units import LossUnits
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.training.distributed import Processes
from latentfields.training.schedules import set_learning_rates, with_peaks
from latentfields.training.state import Parts

WHITE = (1.0, 1.0, 1.0)
"""What all scenes are rendered on."""


class SceneTraining:
    """All latent scenes, their renderer, and the optimisers of both."""

    def __init__(
        self, config: IgaeConfig, views: CachedViews, autoencoder: Autoencoder, *, device: torch.device
    ) -> None:
        """Random scenes in the latent space of `autoencoder`, which is as it was before any training.

        Its code of white is what lies behind all scenes from then on. A code that follows the encoder, but has no
        gradient, is never reached: what draws codes near objects to it moves it, too, until latents are beyond all
        bounds. As a constant it cannot lead L_RGB to the encoder either (Eq. 7 moves decoder and scenes only).
        """
        self.views, self.device = views, device
        self.units = LossUnits(config.units, autoencoder)
        self.pixel_samples = config.scenes.pixel_samples
        with torch.no_grad():
            self.background = autoencoder.background_latent(WHITE).to(device)
        self.factor = factor = autoencoder.factor
        self.cameras = views.cameras.resized(
            width=views.cameras.width // factor, height=views.cameras.height // factor
        )
        self.scenes = LatentScenes(views.hulls, config.scenes, seed=config.seed, device=device)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.renderer = TriPlaneRenderer(config.scenes, channels=autoencoder.channels).to(device)
        self.begin_phase(config.pretraining)

    def begin_phase(self, phase: PretrainingConfig | JointConfig) -> None:
        """Take the learning rates of `phase` and forget all moments.

        The phases weigh the same losses very differently: moments of the first would keep the planes from moving for
        hundreds of batches of the second.
        """
        self.phase = phase
        self.scenes.renew_moments()
        adam = torch.optim.Adam(
            self.renderer.parameters(), lr=phase.mlp_learning_rate, betas=BETAS, eps=EPSILON, fused=True
        )
        self.optimizer = with_peaks(adam)

    def render(
        self,
        active: Sequence[ActiveScene],
        plan: BatchPlan,
        *,
        update_grids: bool,
        corners: Sequence[Tensor] | None = None,
        side: int | None = None,
    ) -> Rendering:
        """z~ and opacity of a plan's B views, scene by scene, with jitter; `active` are the plan's scenes.

        `corners` (V, 2), for every scene, are those of windows of its views, (left, top) in pixels, of `side` pixels;
        without, views are whole. Views that scenes are not fitted to are constants: no scene has a gradient by them.
        """
        parts = []
        for number, (scene, indices, fitted, seed) in enumerate(
            zip(active, plan.views, plan.fitted, plan.scene_seeds, strict=True)
        ):
            generator = torch.Generator().manual_seed(seed)
            if update_grids:
                self.renderer.update_grid(scene, generator=generator)
            cameras = self.cameras[indices]
            if corners is not None and side is not None:
                latents = side // self.factor
                cameras = cameras.windows(corners[number] / self.factor, width=latents, height=latents)
            parts.append(self.render_scene(scene, cameras[:fitted], generator=generator))
            if len(indices) > fitted:
                with torch.no_grad():
                    parts.append(self.render_scene(scene, cameras[fitted:], generator=generator))
        return Rendering.joined(parts)

    @torch.no_grad()
    def render_views(self, scene: int, indices: Tensor) -> Tensor:
        """z~ (B, C, h, w) of some views of one scene, without jitter or gradients: for evaluation."""
        (active,) = self.scenes.fetch([scene])
        return self.render_scene(active, self.cameras[indices], generator=None).features

    def render_scene(
        self, scene: ActiveScene, cameras: Cameras, *, generator: torch.Generator | None
    ) -> Rendering:
        """One scene through cameras of the latent grid; `generator` jitters the samples along rays."""
        count = self.pixel_samples
        finer = cameras.to(self.device).resized(width=count * cameras.width, height=count * cameras.height)
        near, far = self.views.near[scene.index], self.views.far[scene.index]
        shot = Shot(finer.rays().flatten(), self.background, near, far, generator)
        return self.renderer.render(scene, shot).as_images(finer).averaged(count)

    def update(
        self,
        active: Sequence[ActiveScene],
        batch: Sequence[int],
        *,
        decay: float,
        processes: Processes,
    ) -> None:
        """Step the shared MLP and the planes of `active`, this process's part of the `batch` of scenes.

        `decay` is the fraction of the phase's learning rates.
        """
        processes.sum_gradients(self.renderer.parameters())
        set_learning_rates(self.optimizer, decay)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if active:
            self.scenes.update(active, learning_rate=self.phase.planes_learning_rate * decay)
        if processes.count > 1:
            processes.send_from_owners([self.scenes.record(index) for index in batch])

    @property
    def parts(self) -> Parts:
        """Planes with their moments, MLP and the MLP's optimiser."""
        return Parts(
            modules={"scenes": self.scenes, "mlp": self.renderer},
            optimizers={"mlp_optimizer": self.optimizer},
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Planes, MLP and optimisers."""
        tensors, groups = self.parts.pack()
        return tensors, {"groups": groups["mlp_optimizer"]}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        self.parts.unpack(tensors, {"mlp_optimizer": metadata["groups"]})

    def restore_scenes(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over scenes and MLP from `state`, but not the MLP's optimiser."""
        Parts(modules=self.parts.modules).unpack(tensors, {})


def planes_total_variation(active: Sequence[ActiveScene], form: TotalVariation = "mean") -> Tensor:
    """L_TV^3D, Eq. 14, (p, q) = (2, 2): mean over planes and scenes, or as in the paper their sum."""
    if form == "paper":
        return torch.stack([total_variation_sum(scene.planes).sum() for scene in active]).sum()
    return torch.stack([total_variation(scene.planes) for scene in active]).mean()
