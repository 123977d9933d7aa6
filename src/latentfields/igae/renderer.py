"""R_T of Eq. 5: one renderer for all latent scenes, with a shared MLP."""

from __future__ import annotations

import torch
from torch import nn

from latentfields.fields.triplane import TriPlaneFeatures, TriPlaneHead
from latentfields.igae.config import LatentScenesConfig
from latentfields.igae.scenes import ActiveScene
from latentfields.rendering.rendering import Rendering, Shot


class TriPlaneRenderer(nn.Module):
    """Renders latent scenes: each has planes and a sampler of its own, all have one MLP."""

    def __init__(self, config: LatentScenesConfig, *, channels: int) -> None:
        """`channels` is the number of latent channels."""
        super().__init__()
        self.head = TriPlaneHead(config.triplane, channels, "linear")

    def field(self, scene: ActiveScene) -> TriPlaneFeatures:
        """The scene as samplers look at it: its planes, which stay its own, through the shared MLP."""
        return TriPlaneFeatures(scene.planes, self.head)

    def render(self, scene: ActiveScene, shot: Shot) -> Rendering:
        """Latents along the rays of `shot`. Differentiable in planes, MLP and background."""
        return scene.sampler.render(self.field(scene), shot)

    def update_grid(self, scene: ActiveScene, *, generator: torch.Generator) -> None:
        """Look at the scene's densities again, if its number of visits says that it is time."""
        scene.sampler.update(self.field(scene), step=scene.visits, generator=generator)
