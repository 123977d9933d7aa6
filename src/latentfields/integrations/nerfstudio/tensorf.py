"""Nerfstudio's TensoRF without its white: the one stock model whose rendering itself names a colour."""

from __future__ import annotations

from nerfstudio.cameras.rays import RayBundle
from nerfstudio.field_components.field_heads import FieldHeadNames
from nerfstudio.models.tensorf import TensoRFModel
from torch import Tensor


class BackgroundFreeTensoRF(TensoRFModel):
    """Looks at the field in every sample, where the stock model paints white along rays that it holds for empty."""

    def get_outputs(self, ray_bundle: RayBundle) -> dict[str, Tensor]:
        """As the stock model: density at even samples says where the field is looked at, and what is rendered."""
        if self.training:
            self.camera_optimizer.apply_to_raybundle(ray_bundle)
        even = self.sampler_uniform(ray_bundle)
        samples = self.sampler_pdf(ray_bundle, even, even.get_weights(self.field.get_density(even)))
        seen = self.field.forward(samples)
        weights = samples.get_weights(seen[FieldHeadNames.DENSITY])
        return {
            "rgb": self.renderer_rgb(rgb=seen[FieldHeadNames.RGB], weights=weights),
            "accumulation": self.renderer_accumulation(weights).clamp(min=0),
            "depth": self.renderer_depth(weights, samples),
        }
