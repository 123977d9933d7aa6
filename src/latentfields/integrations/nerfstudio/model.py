"""A model that renders the latent grid, and the decoder that makes images of what it renders (IG-AE Eq. 1).

Shape suffixes: R rays, H, W image size, h, w latent grid, C latent channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.configs.base_config import InstantiateConfig
from nerfstudio.data.scene_box import OrientedBox
from nerfstudio.models.base_model import Model
from nerfstudio.models.vanilla_nerf import VanillaModelConfig
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.integrations.nerfstudio.adapter import adapt_ray_model, without_perceptual_network
from latentfields.integrations.nerfstudio.gaussians import GaussianModel
from latentfields.integrations.nerfstudio.measures import compare_image
from latentfields.integrations.nerfstudio.own_model import OwnModel
from latentfields.integrations.nerfstudio.renderer import LatentRenderer
from latentfields.integrations.nerfstudio.views import on_latent_grid, repeated, view_rays
from latentfields.measures.standard import image_measures

COLORS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0)}
LATENTS = ("rgb", "rgb_fine")
"""Names under which ray models return what they render; of several, the first one here is decoded."""
MAPS = ("accumulation", "depth")
"""What a viewer expects beside the image; the fine pass's, where a model has two."""


@dataclass
class LatentModelConfig(InstantiateConfig):
    """A stock ray model, or one of this package's, in latent space."""

    _target: type = field(default_factory=lambda: LatentModel)
    """target class to instantiate"""
    ray_model: InstantiateConfig = field(default_factory=VanillaModelConfig)
    """the model that renders latents"""
    background: Literal["white", "black", "learned"] = "white"
    """what lies behind the scene: the code of a colour, or a code that is fitted with the scene, for photographs
    without alpha; images with alpha are composited on the colour, or on white"""

    @property
    def eval_num_rays_per_chunk(self) -> int:
        """Rays rendered at a time outside of training: the ray model's, where Nerfstudio's commands set it."""
        count: int = self.ray_model.eval_num_rays_per_chunk
        return count

    @eval_num_rays_per_chunk.setter
    def eval_num_rays_per_chunk(self, count: int) -> None:
        self.ray_model.eval_num_rays_per_chunk = count


class LatentModel(Model):
    """Trains as its ray model does, and shows decoded images wherever Nerfstudio looks."""

    config: LatentModelConfig
    latent_statistics: Tensor

    def __init__(self, config: LatentModelConfig, *, autoencoder: Autoencoder, **kwargs: Any) -> None:
        """`autoencoder` has statistics, unless a checkpoint that has them is loaded next; its decoder is trained."""
        super().__init__(config=config, autoencoder=autoencoder, **kwargs)

    def populate_modules(self) -> None:
        """The ray model, adapted to the latents of the autoencoder."""
        setup = dict(self.kwargs, scene_box=self.scene_box, num_train_data=self.num_train_data)
        self.autoencoder: Autoencoder = setup.pop("autoencoder")
        color = COLORS["white" if self.config.background == "learned" else self.config.background]
        with torch.no_grad():
            background = self.autoencoder.background_latent(color)
        self.renderer = LatentRenderer(background, learned=self.config.background == "learned")
        with without_perceptual_network():
            self.ray_model: Model = self.config.ray_model.setup(**setup, renderer=self.renderer)
        if not isinstance(self.ray_model, OwnModel):
            adapt_ray_model(self.ray_model, channels=self.autoencoder.channels, renderer=self.renderer)
        statistics = torch.stack([self.autoencoder.latent_mean, self.autoencoder.latent_std])
        self.register_buffer("latent_statistics", statistics)
        self.measures, _ = image_measures()

    @property
    def factor(self) -> int:
        """Pixels per latent along one side."""
        return self.autoencoder.factor

    def stored_statistics(self) -> LatentStatistics:
        """The latent statistics of the checkpoint that was loaded."""
        mean, std = self.latent_statistics.tolist()
        return LatentStatistics(tuple(mean), tuple(std))

    def forward(self, views: Cameras) -> dict[str, Any]:
        """Render all R rays of `latent_views`; the ray model's colours are latents (R, C)."""
        splatted = isinstance(self.ray_model, GaussianModel)
        outputs: dict[str, Any] = self.ray_model(views if splatted else view_rays(views))
        return outputs

    def get_outputs(self, views: Cameras) -> dict[str, Any]:
        """As `forward`."""
        return self.forward(views)

    def get_param_groups(self) -> dict[str, list[Any]]:
        """The ray model's groups, `decoder`, and `background` where it is learned."""
        groups: dict[str, list[Any]] = self.ray_model.get_param_groups()
        if isinstance(self.renderer.background, nn.Parameter):
            groups["background"] = [self.renderer.background]
        return groups | {"decoder": list(self.autoencoder.decoder_parameters())}

    def get_training_callbacks(self, training_callback_attributes: Any) -> list[Any]:
        """The ray model's."""
        callbacks: list[Any] = self.ray_model.get_training_callbacks(training_callback_attributes)
        return callbacks

    def update_to_step(self, step: int) -> None:
        """The ray model's preparation for a checkpoint of that step."""
        self.ray_model.update_to_step(step)

    def get_metrics_dict(self, outputs: dict[str, Any], batch: dict[str, Any]) -> dict[str, Tensor]:
        """The ray model's metrics, in latent space."""
        metrics: dict[str, Tensor] = self.ray_model.get_metrics_dict(outputs, batch)
        return metrics

    def get_loss_dict(
        self, outputs: dict[str, Any], batch: dict[str, Any], metrics_dict: Any = None
    ) -> dict[str, Tensor]:
        """The ray model's losses, against latents: Latent Supervision (IG-AE Eq. 2)."""
        losses: dict[str, Tensor] = self.ray_model.get_loss_dict(outputs, batch, metrics_dict)
        return losses

    def latents(self, outputs: dict[str, Any]) -> Tensor:
        """Choose the output of the ray model that is decoded."""
        values: Tensor = next(outputs[name] for name in LATENTS if name in outputs)
        return values

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W), not clamped, of latents (B, C, h, w); always in full precision."""
        with torch.autocast(latents.device.type, enabled=False):
            return self.autoencoder.decode(latents.float())

    @torch.no_grad()
    def get_outputs_for_camera(
        self, camera: Cameras, obb_box: OrientedBox | None = None
    ) -> dict[str, Tensor]:
        """Outputs at the camera's full resolution (H, W, .): decoded `rgb`, `latents`, `accumulation`, `depth`.

        All but `rgb` have one value per latent, repeated for its pixels. `obb_box` crops the field.
        """
        grid = on_latent_grid(camera, self.factor)
        seen = self.ray_model.get_outputs_for_camera(grid, obb_box)
        latents = self.latents(seen)
        size = {"height": int(camera.height), "width": int(camera.width)}
        images = self.decode(latents.permute(2, 0, 1)[None].to(self.device)).clamp(0, 1)
        maps = {name: seen[name if name in seen else f"{name}_fine"] for name in MAPS}
        maps |= {name: values for name, values in seen.items() if values.shape[-1] == 1}
        large = {name: repeated(values, factor=self.factor, **size) for name, values in maps.items()}
        return {
            "rgb": images[0].permute(1, 2, 0)[: size["height"], : size["width"]].to(latents),
            "latents": repeated(latents, factor=self.factor, **size),
        } | large

    def get_rgba_image(self, outputs: dict[str, Tensor], output_name: str = "rgb") -> Tensor:
        """The decoded image with an opaque alpha channel, (H, W, 4)."""
        image = outputs[output_name]
        return torch.cat([image, torch.ones_like(image[..., :1])], dim=-1)

    def get_image_metrics_and_images(
        self, outputs: dict[str, Tensor], batch: dict[str, Any]
    ) -> tuple[dict[str, float], dict[str, Tensor]]:
        """Scores and pictures of one view; see `compare_image`."""
        return compare_image(outputs, batch, measures=self.measures, factor=self.factor)
