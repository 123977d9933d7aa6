"""Training of a scene in the space `both`: colours as in RGB space, and latents in their two stages, step by step.

Each half has its own optimiser, schedule, batches and random numbers, those that it has in a fit of its own. What they
share is the geometry: its parameters are fitted with the colours, by gradients of both losses where the option says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from latentfields.devices import read
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.feature_scene import COLORS, FeatureScene
from latentfields.latent_nerf.few_views import UnseenViews
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.latent_nerf.trainer import CURVE_EVERY, LatentNerfTrainer
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import with_prefix, without_prefix


class FeatureTrainer(LatentNerfTrainer):
    """The latents' trainer, which takes that of the colours along."""

    def __init__(self, model: FeatureScene, scene: Scene, config: FitConfig) -> None:
        """As `LatentNerfTrainer`."""
        super().__init__(model, scene, config.of_latents())
        self.colors = LatentNerfTrainer(model.colors, scene, config.of_colors())
        # Pixels are held once.
        self.colors.pictures = self.pictures

    def step(self, index: int, progress: float) -> dict[str, float | str]:
        """One step of each half, on gradients of the same geometry."""
        # Colours first: the geometry is theirs, and so is the optimiser that clears its gradients.
        colors = self.colors.backward(index, progress)
        latents = self.backward(index, progress)
        # Gaussians may be replaced, and with them the rows of the latents: only once they have moved.
        self.update(latents)
        self.colors.update(colors, others=(self.optimizer,))
        losses = read({"loss": latents.loss, "colors_loss": colors.loss})
        values: dict[str, float | str] = {**losses, "stage": latents.stage}
        if (index + 1) % CURVE_EVERY == 0:
            values["test_psnr"] = self.curve_psnr()
            values["colors_psnr"] = self.colors.curve_psnr()
        return values

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As `LatentNerfTrainer.state`, of both halves."""
        tensors, metadata = super().state()
        own, details = self.colors.state()
        # The scene of the colours is part of the whole one.
        kept = {name: tensor for name, tensor in own.items() if not name.startswith("scene.")}
        return tensors | with_prefix(COLORS, kept), {**metadata, COLORS: details}

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Continue from `state`."""
        super().restore(tensors, metadata)
        self.colors.resume(without_prefix(COLORS, tensors), metadata[COLORS])


def new_trainer(
    model: SceneModel, scene: Scene, config: FitConfig, *, unseen: UnseenViews | None = None
) -> LatentNerfTrainer:
    """The trainer of a model for its space; arguments as for `LatentNerfTrainer`. Of both spaces, none is `unseen`."""
    if isinstance(model, FeatureScene):
        return FeatureTrainer(model, scene, config)
    return LatentNerfTrainer(model, scene, config, unseen=unseen)
